// Errors as values: Result<T> is either a T or an Error, and MOTE_TRY passes an Error up with what
// was being done.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace mote {

// What sort of failure it is; an API status or an exit status follows from it.
enum class ErrorKind {
  kInvalid,      // the request, configuration or file is wrong: the caller can mend it
  kNotFound,     // a named thing is not there
  kPermission,   // the host refuses access
  kUnsupported,  // mote, this host or this kernel cannot do it
  kState,        // right request, wrong moment
  kTooLarge,     // sound, and more than a limit that somebody set
  kResource,     // the host ran out of something
  kIo,           // the host failed an operation
  kGuest,        // the guest broke a protocol
  kInternal,     // a defect of mote
};

// A failure: its kind, a sentence for the person who reads it, and what caused it, innermost last.
class Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  ErrorKind kind() const { return kind_; }
  // This error's own sentence, without its causes.
  const std::string& message() const { return message_; }
  const Error* cause() const { return cause_.get(); }

  // This error seen from one level up: `context` says what was being done when it happened. Keeps
  // the kind.
  [[gnu::cold, gnu::noinline]] Error within(std::string context) && {
    Error outer(kind_, std::move(context));
    outer.cause_ = std::make_shared<const Error>(std::move(*this));
    return outer;
  }

  // The whole chain in one line: "outer: inner: innermost".
  std::string text() const {
    return cause_ ? fmt::format("{}: {}", message_, cause_->text()) : message_;
  }

 private:
  ErrorKind kind_;
  std::string message_;
  std::shared_ptr<const Error> cause_;
};

template <typename T>
using Result = std::expected<T, Error>;

// An Error ready to be returned from a function whose result is a Result. Cold, like the others
// here: what leads to it is laid apart from the code of a machine that starts and runs well.
template <typename... Args>
[[gnu::cold, gnu::noinline]] std::unexpected<Error> fail(ErrorKind kind,
                                                         fmt::format_string<Args...> format,
                                                         Args&&... args) {
  return std::unexpected(Error(kind, fmt::format(format, std::forward<Args>(args)...)));
}

// The kind that an errno value belongs to.
ErrorKind kind_of_errno(int code);
// The text of an errno value, such as "No such file or directory (ENOENT)".
std::string errno_text(int code);

// An Error from `code` (an errno value): "<what>: <text of errno>".
template <typename... Args>
[[gnu::cold, gnu::noinline]] std::unexpected<Error> fail_errno(int code,
                                                               fmt::format_string<Args...> format,
                                                               Args&&... args) {
  return std::unexpected(Error(
      kind_of_errno(code),
      fmt::format("{}: {}", fmt::format(format, std::forward<Args>(args)...), errno_text(code))));
}

namespace detail {
template <typename T>
[[gnu::cold, gnu::noinline]] auto take_error(Result<T>& result) {
  return std::unexpected(std::move(result.error()));
}
}  // namespace detail

}  // namespace mote

#define MOTE_CONCAT_INNER(a, b) a##b
#define MOTE_CONCAT(a, b) MOTE_CONCAT_INNER(a, b)

// MOTE_TRY(declaration, expression): evaluates a Result; on error returns it, else binds the value.
//   MOTE_TRY(auto fd, open_file(path));
#define MOTE_TRY(declaration, ...)                                       \
  auto MOTE_CONCAT(mote_try_, __LINE__) = (__VA_ARGS__);                 \
  if (!MOTE_CONCAT(mote_try_, __LINE__))                                 \
    return ::mote::detail::take_error(MOTE_CONCAT(mote_try_, __LINE__)); \
  declaration = std::move(*MOTE_CONCAT(mote_try_, __LINE__))

// MOTE_CHECK(expression): evaluates a Result<void> (or one whose value is not wanted); on error
// returns it.
#define MOTE_CHECK(...)                                                           \
  do {                                                                            \
    auto mote_check_result = (__VA_ARGS__);                                       \
    if (!mote_check_result) return ::mote::detail::take_error(mote_check_result); \
  } while (false)

// MOTE_CHECK_WITHIN(expression, format, ...): as MOTE_CHECK, adding what was being done.
#define MOTE_CHECK_WITHIN(expression, ...)                                        \
  do {                                                                            \
    auto mote_check_result = (expression);                                        \
    if (!mote_check_result)                                                       \
      return std::unexpected(                                                     \
          std::move(mote_check_result.error()).within(fmt::format(__VA_ARGS__))); \
  } while (false)
