// The starter's side of a zygote: a mote-vmm that becomes the monitors which it is asked for
// (src/programs/mote_vmm/zygote.h has the messages).
#pragma once

#include <sys/types.h>

#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::engine {

class Zygote {
 public:
  // Starts `program`, a mote-vmm. Its monitors have `inherited` open, under these numbers, and
  // whatever they are started with beside it is closed. Errors: no process.
  static Result<Zygote> start(const std::string& program, std::span<const UniqueFd> inherited);
  Zygote(Zygote&& other) noexcept;
  Zygote& operator=(Zygote&&) = delete;
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;
  // The zygote ends; its monitors go on.
  ~Zygote();

  // A pidfd of one more monitor, in a session of its own, with the words `words` behind the
  // program's name. From any thread. Errors: no process; the zygote has ended.
  Result<UniqueFd> make_monitor(const std::vector<std::string>& words, const UniqueFd& input,
                                const UniqueFd& output);

 private:
  Zygote(UniqueFd socket, pid_t pid) : socket_(std::move(socket)), pid_(pid) {}

  std::mutex mutex_;  // one question and its answer at a time
  UniqueFd socket_;
  pid_t pid_;
};

}  // namespace mote::engine
