// What std::terminate() does where nobody sets a handler: says what was thrown, and aborts. The
// library's own would name the exception's type as well, for which a program carries 50 KiB that
// take mangled names apart.
#include <cstdlib>
#include <exception>

#include "base/unique_fd.h"

namespace {

void say(std::string_view text) {
  // Nobody hears of it when it cannot be said.
  static_cast<void>(mote::write_all(2, std::as_bytes(std::span(text))));
}

[[noreturn]] void terminate() {
  say("a defect of this program ends it");
  try {
    if (std::current_exception() != nullptr) std::rethrow_exception(std::current_exception());
  } catch (const std::exception& thrown) {
    say(": ");
    say(thrown.what());
  } catch (...) {
    say(": an exception of no known type");
  }
  say("\n");
  std::abort();
}

}  // namespace

// The variable from which the library takes the first handler. Defined here, its own is not linked.
namespace __cxxabiv1 {                              // NOLINT(bugprone-reserved-identifier)
extern std::terminate_handler __terminate_handler;  // NOLINT(bugprone-reserved-identifier)
std::terminate_handler __terminate_handler = terminate;
}  // namespace __cxxabiv1
