#include "snapshot/new_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "base/json.h"

namespace mote::snapshot {
namespace {

// Where a path leads, by way of links.
Result<std::string> resolve(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "{} is no path of a file", json::quote(path));
  }
  struct stat facts{};
  if (::lstat(path.c_str(), &facts) < 0) {
    if (errno == ENOENT) return path;
    return fail_errno(errno, "look at {}", json::quote(path));
  }
  if (S_ISREG(facts.st_mode)) return path;
  if (S_ISLNK(facts.st_mode)) {
    const std::unique_ptr<char, decltype(&::free)> real(::realpath(path.c_str(), nullptr), ::free);
    if (!real) return fail_errno(errno, "follow the link {}", json::quote(path));
    if (::stat(real.get(), &facts) == 0 && S_ISREG(facts.st_mode)) return std::string(real.get());
  }
  return fail(ErrorKind::kInvalid, "{} is no regular file", json::quote(path));
}

// Opens `name`, locked, so that of two who write the same file one is told. What a writer left that
// was killed is written over.
Result<UniqueFd> open_locked(const std::string& name, const std::string& target) {
  while (true) {
    MOTE_TRY(UniqueFd fd, open_file(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
      if (errno != EWOULDBLOCK) return fail_errno(errno, "lock {}", json::quote(name));
      return fail(ErrorKind::kState, "{} is being written by somebody else", json::quote(target));
    }
    // Whoever had it may have put it in place, or removed it, before we had the lock.
    struct stat ours{};
    struct stat named{};
    if (::fstat(fd.get(), &ours) < 0) return fail_errno(errno, "look at {}", json::quote(name));
    if (::stat(name.c_str(), &named) < 0 || ours.st_ino != named.st_ino ||
        ours.st_dev != named.st_dev) {
      continue;
    }
    if (!S_ISREG(ours.st_mode)) {
      return fail(ErrorKind::kInvalid, "{} is no regular file", json::quote(name));
    }
    if (::ftruncate(fd.get(), 0) < 0) return fail_errno(errno, "empty {}", json::quote(name));
    return fd;
  }
}

}  // namespace

Result<NewFile> NewFile::create(const std::string& path) {
  MOTE_TRY(std::string target, resolve(path));
  std::string name = target + ".new";
  MOTE_TRY(UniqueFd fd, open_locked(name, target));
  return NewFile(std::move(target), std::move(name), std::move(fd));
}

NewFile::NewFile(NewFile&& other) noexcept
    : target_(std::move(other.target_)),
      name_(std::exchange(other.name_, {})),
      fd_(std::move(other.fd_)) {}

NewFile::~NewFile() {
  if (fd_ && !name_.empty()) ::unlink(name_.c_str());
}

Result<void> NewFile::commit() {
  if (::fsync(fd_.get()) < 0) return fail_errno(errno, "flush {}", json::quote(name_));
  if (::rename(name_.c_str(), target_.c_str()) < 0) {
    return fail_errno(errno, "put {} in place", json::quote(target_));
  }
  name_.clear();
  const auto slash = target_.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : target_.substr(0, slash + 1);
  MOTE_TRY(const UniqueFd fd, open_file(directory, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) < 0) return fail_errno(errno, "flush {}", json::quote(directory));
  return {};
}

}  // namespace mote::snapshot
