#include "snapshot/new_file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/same_file.h"

namespace mote::snapshot {
namespace {

constexpr int kMostLinks = 40;  // as many as the kernel follows

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

// Whether both are the same name in the same directory, however that is written.
bool is_same_place(const std::string& one, const std::string& other) {
  const auto name_of = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  const auto place_of = [](const std::string& path) { return directory_of(path) + "."; };
  return name_of(one) == name_of(other) && is_same_file(place_of(one), place_of(other));
}

// What the link at `path` says, as seen from where `path` is.
Result<std::string> read_link(const std::string& path) {
  std::array<char, PATH_MAX> text;
  const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
  if (length < 0) return fail_errno(errno, "follow the link {}", json::quote(path));
  std::string to(text.data(), static_cast<std::size_t>(length));
  return to.starts_with('/') ? to : directory_of(path) + to;
}

// Where a path leads, by way of links.
Result<std::string> resolve(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "{} is no path of a file", json::quote(path));
  }
  std::string place = path;
  for (int links = 0; links <= kMostLinks; ++links) {
    struct stat facts{};
    if (!look_at(place, facts, AT_SYMLINK_NOFOLLOW)) {
      if (errno == ENOENT && links == 0) return path;
      return fail_errno(errno, "look at {}", json::quote(place));
    }
    if (S_ISREG(facts.st_mode)) return place;
    if (!S_ISLNK(facts.st_mode))
      return fail(ErrorKind::kInvalid, "{} is no regular file", json::quote(path));
    MOTE_TRY(place, read_link(place));
  }
  return fail_errno(ELOOP, "follow the link {}", json::quote(path));
}

std::unexpected<Error> fail_written(const std::string& target) {
  return fail(ErrorKind::kState, "{} is being written by somebody else", json::quote(target));
}

// Opens `name`, locked, so that of two who write the same file one is told. What a writer left that
// was killed makes room.
Result<UniqueFd> open_locked(const std::string& name, const std::string& target) {
  while (true) {
    MOTE_TRY(UniqueFd fd, open_file(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
    if (!lock_file(fd.get(), FileLock::kAlone)) {
      if (errno != EAGAIN) return fail_errno(errno, "lock {}", json::quote(name));
      return fail_written(target);
    }
    // Whoever had it may have put it in place, or removed it, before we had the lock.
    struct stat ours{};
    struct stat named{};
    if (!look_at(fd.get(), ours)) return fail_errno(errno, "look at {}", json::quote(name));
    if (!look_at(name, named) || ours.st_ino != named.st_ino || ours.st_dev != named.st_dev) {
      continue;
    }
    if (!S_ISREG(ours.st_mode)) {
      return fail(ErrorKind::kInvalid, "{} is no regular file", json::quote(name));
    }
    if (ours.st_size == 0) return fd;
    if (::unlink(name.c_str()) < 0) return fail_errno(errno, "remove {}", json::quote(name));
  }
}

}  // namespace

Result<std::string> NewFile::whole_name(const std::string& path) {
  MOTE_TRY(const std::string target, resolve(path));
  return target + kWholeSuffix;
}

Result<NewFile> NewFile::create(const std::string& path) {
  MOTE_TRY(std::string target, resolve(path));
  std::string name = target + kSuffix;
  MOTE_TRY(UniqueFd fd, open_locked(name, target));
  NewFile made(std::move(target), std::move(name), std::move(fd));
  // Of another who has finished and is about to put it in place.
  const auto whole = open_file(made.target_ + kWholeSuffix, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (whole && !lock_file(whole->get(), FileLock::kShared)) return fail_written(made.target_);
  return made;
}

NewFile::NewFile(NewFile&& other) noexcept
    : target_(std::move(other.target_)),
      name_(std::exchange(other.name_, {})),
      fd_(std::move(other.fd_)),
      kept_(other.kept_) {}

NewFile::~NewFile() {
  if (fd_ && !name_.empty() && !kept_) ::unlink(name_.c_str());
}

bool NewFile::passes(const std::string& path) const {
  return is_same_place(path, target_ + kSuffix) || is_same_place(path, target_ + kWholeSuffix);
}

Result<void> NewFile::flush() {
  if (::fsync(fd_.get()) < 0) return fail_errno(errno, "flush {}", json::quote(name_));
  return {};
}

Result<void> NewFile::finish() {
  MOTE_CHECK(flush());
  std::string whole = target_ + kWholeSuffix;
  if (::rename(name_.c_str(), whole.c_str()) < 0) {
    return fail_errno(errno, "name what is whole {}", json::quote(whole));
  }
  name_ = std::move(whole);
  return {};
}

Result<void> NewFile::commit() {
  MOTE_CHECK(flush());
  if (::rename(name_.c_str(), target_.c_str()) < 0) {
    return fail_errno(errno, "put {} in place", json::quote(target_));
  }
  name_.clear();
  const std::string directory = target_.contains('/') ? directory_of(target_) : ".";
  MOTE_TRY(const UniqueFd fd, open_file(directory, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) < 0) return fail_errno(errno, "flush {}", json::quote(directory));
  return {};
}

}  // namespace mote::snapshot
