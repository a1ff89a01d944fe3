// mote's command line.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "engine/api_client.h"
#include "engine/fork.h"
#include "engine/pool.h"
#include "engine/run.h"
#include "programs/mote/seccomp.h"

namespace mote::cli {

// What is to be done.
struct ShowText {
  std::string text;  // a help page or the version
};
struct Run {
  engine::RunOptions options;
};
struct Doctor {
  bool probe = false;
  bool json = false;
  bool production = false;
};
struct Api {
  engine::ApiRequest request;
};
struct Metrics {
  std::string socket;
  bool prometheus = false;
};
// The files of snapshots. What `first` and `second` are follows from `what`.
struct Snapshot {
  enum class What { kVersion, kInspect, kDiff, kRebase };
  What what = What::kVersion;
  std::string first;
  std::string second;
  bool json = false;
};
struct Fork {
  engine::ForkOptions options;
};
struct Pool {
  engine::PoolOptions options;
};
// The layers of disks. `files`: what it lies on, or what becomes an image.
struct Layer {
  enum class What { kCreate, kInfo, kCheck, kCommit };
  What what = What::kInfo;
  std::string path;
  std::vector<std::string> files;
  std::uint64_t size = 0;     // bytes; 0: not given
  std::uint64_t cluster = 0;  // likewise
  bool json = false;
};
using Request = std::variant<ShowText, Run, Doctor, Api, Metrics, Snapshot, Fork, Pool, Layer,
                             SeccompShow, SeccompCompile>;

// Whether the words (without the program's name) are `mote run ...`, whose mistakes have the status
// of a run that was not possible.
bool is_run(std::span<const char* const> words);

// Reads the words. Errors: an unknown command or option, a value that is none, a command of a guest
// that is missing.
Result<Request> parse(std::span<const char* const> words);

}  // namespace mote::cli
