#include "programs/mote_vmm/client_lines.h"

#include "base/log.h"

namespace mote::vmm::client_lines {
namespace {

bool are_expected = false;

}  // namespace

bool expected() { return are_expected; }

void begin(std::string_view program) {
  are_expected = true;
  log::info("Running {}, which is mote-vmm v{}", program, MOTE_VERSION);
}

void file_started() {
  if (are_expected)
    log::info("Successfully started microvm that was configured from one single json");
}

void file_failed(const Error& error) {
  if (are_expected)
    log::error("Configuration for VMM from one single json failed: {}", error.text());
}

void ended(int status) {
  if (!are_expected) return;
  log::info("Vmm is stopping.");
  log::info("Firecracker exiting successfully. exit_code={}", status);
}

void ended_by_signal(int signal, int code) {
  if (are_expected)
    log::error("Shutting down VM after intercepting signal {}, code {}.", signal, code);
}

void ended_by_bad_call(int call) {
  if (are_expected) log::error("Shutting down VM after intercepting a bad syscall ({}).", call);
}

}  // namespace mote::vmm::client_lines
