// A handler of page faults as one would write it for Firecracker: it listens at a Unix socket, is
// sent where guest memory lies and a userfaultfd, and brings pages out of a memory file.
#pragma once

#include <sys/types.h>

#include <string>

namespace mote::bare {

enum class Behaviour {
  kServe,
  kTakeNothing,  // listens, and never looks
  kStaySilent,   // takes what it is sent, and brings nothing
  kHangUp,       // closes what it accepts at once
  kGarbage,      // says what means nothing, and serves
  kWrongPages,   // brings zeros, whatever the file has
  kNoMore,       // brings what a load waits for, and reads no fault from then on
  kNoAnswers,    // the same, but reads them
};

// A process of its own; ended with the object.
class PageHandlerProcess {
 public:
  // Listens at `socket` when this returns.
  PageHandlerProcess(const std::string& socket, const std::string& memory, Behaviour behaviour);
  PageHandlerProcess(const PageHandlerProcess&) = delete;
  PageHandlerProcess& operator=(const PageHandlerProcess&) = delete;
  ~PageHandlerProcess() { end(); }
  void end();

 private:
  pid_t pid_ = -1;
};

}  // namespace mote::bare
