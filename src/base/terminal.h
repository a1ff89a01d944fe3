// RawTerminal puts a terminal into raw mode, every byte passed on as it is, and back as it was when
// it ends.
#pragma once

#include <termios.h>

#include <optional>

#include "base/result.h"

namespace mote {

// Whether `fd` is this session's terminal and another job has it now: whoever reads from it then,
// or changes its mode, is stopped with all its threads.
bool has_another_job(int fd);

class RawTerminal {
 public:
  // What becomes of output.
  enum class Output {
    kCooked,  // a line feed still gets its carriage return: for a monitor's own messages
    kRaw,     // bytes are passed on as they are: another terminal's driver made them
  };
  // Raw mode for `fd`; empty when that is no terminal.
  static Result<std::optional<RawTerminal>> enter(int fd, Output output = Output::kCooked);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&& other) noexcept;
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();

 private:
  RawTerminal(int fd, const termios& before) : fd_(fd), before_(before) {}
  void leave();

  int fd_;
  termios before_;
};

}  // namespace mote
