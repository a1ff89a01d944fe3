// The working set of a snapshot: which pages a guest touches first after it was loaded. The first
// load that is asked to notes them in a file beside the memory file; the next ones read them in one
// pass before the guest asks for each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "base/worker.h"
#include "memory/guest_memory.h"
#include "memory/page_table.h"
#include "snapshot/new_file.h"

namespace mote::snapshot {

// Pages of a memory file.
struct PageRun {
  std::uint64_t offset = 0;  // bytes, whole pages
  std::uint64_t size = 0;
  // All of them are written, and are in a run behind that is not so, by which they are read.
  bool written = false;
  bool operator==(const PageRun&) const = default;
};

// What a working set belongs to: of another snapshot, or a memory file that has changed, it is of
// no use.
struct WorkingSetStamp {
  std::array<std::byte, 16> id{};  // Header::id of the state file
  std::uint64_t memory_size = 0;   // bytes
  std::uint64_t changed_ns = 0;    // when the memory file was changed, since 1970
  bool operator==(const WorkingSetStamp&) const = default;
};
Result<WorkingSetStamp> stamp_of(const std::array<std::byte, 16>& id, int memory_file);

// The most runs that are kept; further ones are left to be touched.
inline constexpr std::size_t kMaxRuns = 32768;

// The file's bytes. Runs are in the order in which they were touched.
std::vector<std::byte> make_working_set(const WorkingSetStamp& stamp,
                                        std::span<const PageRun> runs);
// The runs of a file. Errors (kInvalid): it is none, damaged, or not of `stamp`.
Result<std::vector<PageRun>> read_working_set(std::span<const std::byte> bytes,
                                              const WorkingSetStamp& stamp);

// The pages whose bits are set as few runs, ascending: those with at most `gap` others between them
// are one.
std::vector<PageRun> runs_of(std::span<const std::uint64_t> words, std::uint64_t gap);
// Adds the pages of `touched` to `runs`; those that are in `written` as well, which has as many
// words, before the run that they are read with.
void add_runs(std::span<const std::uint64_t> touched, std::span<const std::uint64_t> written,
              std::vector<PageRun>& runs);

class WorkingSet {
 public:
  // Brings in what NAME.ws says of the memory file NAME (`path`, open as `fd`), which is private at
  // `memory`; or, where there is none that fits, notes what is touched from begin() on and writes
  // it, on `loop`. That it cannot is logged. What is touched is told by `table`, or where that
  // cannot tell, by what comes into the page cache. Errors: no thread to be had.
  static Result<std::shared_ptr<WorkingSet>> attach(EventLoop& loop,
                                                    const memory::GuestMemory& memory,
                                                    const std::string& path, UniqueFd fd,
                                                    const std::array<std::byte, 16>& id,
                                                    memory::PageTable table = {});
  WorkingSet(const WorkingSet&) = delete;
  WorkingSet& operator=(const WorkingSet&) = delete;
  // Before the memory. Ends what it does.
  ~WorkingSet();

  // The guest runs for the first time.
  void begin() const;

 private:
  WorkingSet(const memory::GuestMemory& memory, UniqueFd fd, memory::PageTable table);
  // Whether the guest that touches a page of the file reads that page alone, or what is around it.
  void take_single_pages(bool single) const;
  void tell_apart() const;
  void bring_in(std::span<const PageRun> runs) const;
  // Maps the pages of `run`, which are the guest's own from then on where they are written.
  void map_in(const PageRun& run) const;
  // Marks in `words` which pages of the file this process has for its own.
  void look_for_own(std::span<std::uint64_t> words) const;
  // Marks those that it has touched, or that are in the page cache where it has no page table.
  // False: that cannot be told.
  bool look(std::span<std::uint64_t> words) const;
  void note(EventLoop& loop, const WorkingSetStamp& stamp);
  // What was touched, in order. Errors: it cannot be told, or (kState) this is to end.
  Result<std::vector<PageRun>> observe() const;
  // False: it is to end.
  bool wait(int fd, int milliseconds) const;

  std::vector<memory::RegionView> regions_;
  memory::PageTable page_table_;
  UniqueFd fd_;
  UniqueFd begin_;
  UniqueFd stop_;
  std::unique_ptr<NewFile> file_;                           // that is to be written
  std::shared_ptr<void> alive_ = std::make_shared<char>();  // the loop's tasks look whether it is
  std::unique_ptr<Worker> worker_;
};

}  // namespace mote::snapshot
