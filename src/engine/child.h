// What programs that are started in a child have in common.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace mote::engine {

// As execv() takes them: pointers into `words`, and a null one.
inline std::vector<char*> argv_of(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  return arguments;
}

// In the child: what is typed at its parent's terminal is not for it, and it takes every signal.
inline void begin_session() {
  ::setsid();
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace mote::engine
