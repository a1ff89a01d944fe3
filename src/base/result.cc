#include "base/result.h"

#include <cstring>

namespace mote {

ErrorKind kind_of_errno(int code) {
  switch (code) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return ErrorKind::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::kPermission;
    case EINVAL:
    case EISDIR:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return ErrorKind::kInvalid;
    case ENOSYS:
    case EOPNOTSUPP:
    case ENOTTY:
      return ErrorKind::kUnsupported;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
    case EAGAIN:
      return ErrorKind::kResource;
    case EBUSY:
    case EEXIST:
      return ErrorKind::kState;
    default:
      return ErrorKind::kIo;
  }
}

std::string errno_text(int code) {
  const char* name = strerrorname_np(code);
  const char* text = strerrordesc_np(code);
  if (name == nullptr || text == nullptr) return fmt::format("error {}", code);
  return fmt::format("{} ({})", text, name);
}

}  // namespace mote
