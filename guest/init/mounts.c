#include "mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "leave.h"

// Where the parts of the root are put together, in the initramfs.
#define LOWER_DIRECTORY "/mote/lower"
#define UPPER_DIRECTORY "/mote/upper"
#define ROOT_DIRECTORY "/mote/root"

enum { kDeviceWaitMs = 3000, kDevicePollMs = 5 };

int make_directories(const char* path) {
  char part[PATH_MAX];
  const size_t length = strlen(path);
  if (length >= sizeof part) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(part, path, length + 1);
  for (char* slash = strchr(part + 1, '/'); slash != nullptr; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(part, 0755) != 0 && errno != EEXIST) return -1;
    *slash = '/';
  }
  return mkdir(part, 0755) == 0 || errno == EEXIST ? 0 : -1;
}

static void mount_or_die(const char* type, const char* target, unsigned long flags,
                         const char* options) {
  if (make_directories(target) != 0)
    die("cannot make the directory %s: %s", target, strerror(errno));
  // A kernel may have mounted devtmpfs by itself.
  if (mount(type, target, type, flags, options) != 0 && errno != EBUSY) {
    die("cannot mount %s on %s: %s", type, target, strerror(errno));
  }
}

// For filesystems that a kernel may lack without harm to most commands.
static void mount_if_known(const char* type, const char* target, unsigned long flags) {
  if (make_directories(target) == 0) mount(type, target, type, flags, nullptr);
}

static void open_console(void) {
  if (fcntl(STDERR_FILENO, F_GETFD) >= 0) return;
  const int console = open("/dev/console", O_RDWR | O_NOCTTY);
  if (console < 0) return;  // messages have nowhere to go; the status still has
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) dup2(console, fd);
  if (console > STDERR_FILENO) close(console);
}

void mount_early(void) {
  const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  mount_or_die("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
  open_console();
  mount_or_die("proc", "/proc", plain, nullptr);
  mount_or_die("sysfs", "/sys", plain, nullptr);
}

static void wait_for_device(const char* path) {
  const struct timespec pause = {.tv_nsec = kDevicePollMs * 1000000L};
  for (int waited = 0;; waited += kDevicePollMs) {
    struct stat status;
    if (stat(path, &status) == 0) {
      if (S_ISBLK(status.st_mode)) return;
      die("root=%s is not a block device", path);
    }
    if (waited >= kDeviceWaitMs) {
      die("root=%s: no such device after %d seconds; is the disk attached, and has the kernel its "
          "driver?",
          path, kDeviceWaitMs / 1000);
    }
    nanosleep(&pause, nullptr);
  }
}

static bool mount_disk(const char* device, const char* type) {
  if (mount(device, LOWER_DIRECTORY, type, MS_RDONLY, nullptr) == 0) return true;
  // A journal that was not closed cannot be replayed on a disk that cannot be written: do without
  // it.
  if (errno == EROFS && strcmp(type, "ext4") == 0) {
    return mount(device, LOWER_DIRECTORY, type, MS_RDONLY, "noload") == 0;
  }
  return false;
}

static void mount_lower(const struct Config* config) {
  static const char* const kTypes[] = {"ext4", "squashfs", "erofs"};
  if (make_directories(LOWER_DIRECTORY) != 0)
    die("cannot make " LOWER_DIRECTORY ": %s", strerror(errno));
  if (config->rootfs != nullptr) {
    if (mount_disk(config->root, config->rootfs)) return;
    die("cannot mount %s as %s: %s%s", config->root, config->rootfs, strerror(errno),
        errno == ENODEV ? " (the kernel lacks this filesystem)" : "");
  }
  for (size_t i = 0; i < sizeof kTypes / sizeof kTypes[0]; ++i) {
    if (mount_disk(config->root, kTypes[i])) return;
  }
  die("cannot mount %s: it holds neither ext4, squashfs nor erofs that this kernel can read",
      config->root);
}

static void mount_overlay(void) {
  mount_or_die("tmpfs", UPPER_DIRECTORY, 0, "mode=0755");
  struct stat lower;
  // The root directory of an overlay has the attributes of its upper one.
  if (stat(LOWER_DIRECTORY, &lower) != 0 || mkdir(UPPER_DIRECTORY "/files", 0755) != 0 ||
      mkdir(UPPER_DIRECTORY "/work", 0755) != 0 ||
      chown(UPPER_DIRECTORY "/files", lower.st_uid, lower.st_gid) != 0 ||
      chmod(UPPER_DIRECTORY "/files", lower.st_mode & 07777) != 0 ||
      make_directories(ROOT_DIRECTORY) != 0) {
    die("cannot prepare the writable layer: %s", strerror(errno));
  }
  // redirect_dir lets programs rename directories of the lower layer.
  static const char kOptions[] = "lowerdir=" LOWER_DIRECTORY ",upperdir=" UPPER_DIRECTORY
                                 "/files,workdir=" UPPER_DIRECTORY "/work,redirect_dir=on";
  if (mount("overlay", ROOT_DIRECTORY, "overlay", 0, kOptions) != 0) {
    die("cannot lay a writable layer over the root: overlay: %s%s", strerror(errno),
        errno == ENODEV ? " (the kernel lacks CONFIG_OVERLAY_FS)" : "");
  }
}

static void move_mount(const char* from, const char* to) {
  if (make_directories(to) != 0 || mount(from, to, nullptr, MS_MOVE, nullptr) != 0) {
    die("cannot move the mount %s to %s: %s", from, to, strerror(errno));
  }
}

void enter_root(const struct Config* config) {
  if (config->root == nullptr) return;
  wait_for_device(config->root);
  mount_lower(config);
  mount_overlay();
  move_mount("/dev", ROOT_DIRECTORY "/dev");
  move_mount("/proc", ROOT_DIRECTORY "/proc");
  move_mount("/sys", ROOT_DIRECTORY "/sys");
  unlink("/init");  // the initramfs is memory, and this file not needed any more
  // The initramfs cannot be pivoted away, so the new root is moved over it.
  if (chdir(ROOT_DIRECTORY) != 0 || mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 ||
      chroot(".") != 0 || chdir("/") != 0) {
    die("cannot enter the root: %s", strerror(errno));
  }
}

static bool is_empty(const char* path) {
  DIR* directory = opendir(path);
  if (directory == nullptr) return true;
  bool empty = true;
  for (struct dirent* entry = readdir(directory); entry != nullptr && empty;
       entry = readdir(directory)) {
    empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  }
  closedir(directory);
  return empty;
}

void mount_late(void) {
  const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  mount_or_die("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666");
  mount_or_die("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
  mount_if_known("mqueue", "/dev/mqueue", plain);
  mount_or_die("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755");
  if (mkdir("/run/lock", 0777) == 0) chmod("/run/lock", 01777);
  // What an image keeps in /tmp is part of it.
  if (is_empty("/tmp")) mount_or_die("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
  mount_if_known("cgroup2", "/sys/fs/cgroup", plain);

  static const char* const kLinks[][2] = {{"/proc/self/fd", "/dev/fd"},
                                          {"/proc/self/fd/0", "/dev/stdin"},
                                          {"/proc/self/fd/1", "/dev/stdout"},
                                          {"/proc/self/fd/2", "/dev/stderr"}};
  for (size_t i = 0; i < sizeof kLinks / sizeof kLinks[0]; ++i) {
    if (symlink(kLinks[i][0], kLinks[i][1]) != 0 && errno != EEXIST) {
      die("cannot make %s: %s", kLinks[i][1], strerror(errno));
    }
  }
}
