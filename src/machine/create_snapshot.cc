// A snapshot is written: its state as a file, its memory as another.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

#include "arch/x86_64/layout.h"
#include "base/file.h"
#include "base/json.h"
#include "base/same_file.h"
#include "machine/snapshot.h"
#include "snapshot/describe.h"
#include "snapshot/new_file.h"

namespace mote::machine {
namespace {

using snapshot::NewFile;

// Where a machine's page of VMClock lies, its end is free for the stamp.
static_assert(snapshot::kStampAt ==
              arch::layout::kVmClock + arch::layout::kVmClockSize - snapshot::kStampSize);

bool has_room_for_stamp(const MachineState& state) {
  return state.board.vmclock.address == arch::layout::kVmClock;
}

// Has `file` begin as the file whose place it takes, where there is one, which changes with the
// stamp `changes` are to be laid over. The stamp that it is to have then.
Result<std::optional<snapshot::Stamp>> begin_with_old(const NewFile& file, std::uint64_t size,
                                                      const std::optional<snapshot::Stamp>& changes,
                                                      const snapshot::Between& between) {
  const auto old = open_file(file.target(), O_RDONLY | O_NONBLOCK);
  if (!old) {
    if (old.error().kind() != ErrorKind::kNotFound) return std::unexpected(old.error());
    auto lone = changes;
    if (lone) lone->alone = true;
    return lone;
  }
  struct stat facts{};
  if (!look_at(old->get(), facts)) return fail_errno(errno, "look at it");
  if (static_cast<std::uint64_t>(facts.st_size) > size) {
    return fail(ErrorKind::kInvalid,
                "the file there has {} bytes, and guest memory {}: it is of another machine",
                facts.st_size, size);
  }
  MOTE_TRY(const auto stamp, snapshot::read_stamp(old->get()));
  MOTE_CHECK(snapshot::check_order(stamp, changes));
  MOTE_TRY(const bool partial, snapshot::is_partial(old->get()));
  MOTE_CHECK(snapshot::copy_file(old->get(), file.fd(), between));
  return snapshot::merged(stamp, changes, partial);
}

// `stamp`: what is to be in the file, where there is room for it.
Result<void> write_memory(const memory::GuestMemory& memory, SnapshotKind kind, const NewFile& file,
                          const std::optional<snapshot::Stamp>& stamp,
                          const snapshot::Between& between) {
  if (stamp) MOTE_CHECK(memory.write(snapshot::kStampAt, snapshot::to_bytes(*stamp)));
  if (kind == SnapshotKind::kFull) return snapshot::write_memory(memory, file.fd(), between);
  if (memory.was_frozen() && !memory.config().track_dirty_pages) {
    return fail(ErrorKind::kState,
                "what has changed cannot be told of a microVM that can be forked, unless "
                "track_dirty_pages notes it");
  }
  MOTE_TRY(const auto whole,
           begin_with_old(file, snapshot::size_of(snapshot::parts_of(memory)), stamp, between));
  MOTE_CHECK(snapshot::write_changes(memory, file.fd(), between));
  return whole ? snapshot::write_stamp(file.fd(), *whole) : Result<void>{};
}

bool is_of(int fd, const snapshot::MomentId& moment) {
  return snapshot::check_moment_of(fd, moment).has_value();
}

// Puts memory in place that an earlier snapshot at `paths` had finished, and the state there is of
// it. What cannot be told is none.
void finish_interrupted(const SnapshotPaths& paths) {
  const auto name = NewFile::whole_name(paths.memory);
  if (!name) return;
  const auto fd = open_file(*name, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (!fd || !lock_file(fd->get(), FileLock::kAlone)) return;
  const auto text = snapshot::read_bytes_of(paths.state);
  if (!text) return;
  const auto header = snapshot::read_header(std::as_bytes(std::span(*text)));
  if (!header || !is_of(fd->get(), header->id)) return;
  // What is in place is the state's own, if it is of its moment.
  const auto placed = open_file(paths.memory, O_RDONLY | O_NONBLOCK);
  if (placed && is_of(placed->get(), header->id)) return;
  ::rename(name->c_str(), name->substr(0, name->rfind('.')).c_str());
}

Result<void> check_place(const std::vector<const std::string*>& own, std::string_view field,
                         const std::string& path) {
  std::vector<std::string> places{path};
  // Where it is until it is in place. Where that cannot be told, no file is made.
  if (const auto whole = NewFile::whole_name(path)) {
    places.push_back(*whole);
    places.push_back(whole->substr(0, whole->rfind('.')) + NewFile::kSuffix);
  }
  for (const std::string* const name : own) {
    if (std::ranges::any_of(places, [&](const auto& at) { return is_same_file(*name, at); })) {
      return fail(ErrorKind::kInvalid, "{}: {} is a file of this microVM's own", field,
                  json::quote(path));
    }
  }
  return {};
}

}  // namespace

Result<void> check_places(const VmConfig& config, const SnapshotPaths& paths) {
  const auto own = files_of(config);
  MOTE_CHECK(check_place(own, "snapshot_path", paths.state));
  return check_place(own, "mem_file_path", paths.memory);
}

Result<void> create_snapshot(Machine& machine, const VmConfig& config, SnapshotKind kind,
                             const SnapshotPaths& paths, const std::string& maker,
                             const snapshot::Between& between) {
  MOTE_CHECK(machine.check_memory_file());
  MOTE_TRY(MachineState own, machine.save());
  MOTE_TRY(const snapshot::Stamp stamp, machine.stamp());
  const bool stamped = has_room_for_stamp(own);
  const SnapshotState state{.memory = snapshot::parts_of(machine.memory()),
                            .config = config,
                            .cpu_config = config.cpu_config,
                            .machine = std::move(own),
                            .stamped = stamped};
  const std::vector<std::byte> bytes = state_bytes(state, maker, stamp.moment);
  if (paths.state == paths.memory) {
    return fail(ErrorKind::kInvalid,
                "snapshot_path and mem_file_path are both {}; each must be a file of its own",
                json::quote(paths.state));
  }
  finish_interrupted(paths);
  // Both, before either is written.
  auto state_file = NewFile::create(paths.state);
  if (!state_file) return std::unexpected(std::move(state_file.error()).within("snapshot_path"));
  auto memory_file = NewFile::create(paths.memory);
  if (!memory_file) return std::unexpected(std::move(memory_file.error()).within("mem_file_path"));
  if (state_file->passes(memory_file->target()) || memory_file->passes(state_file->target())) {
    return fail(ErrorKind::kInvalid,
                "snapshot_path {} and mem_file_path {} are in each other's way: until it is in "
                "place, a file has .new or .whole behind its name",
                json::quote(paths.state), json::quote(paths.memory));
  }
  MOTE_CHECK_WITHIN(write_at(state_file->fd(), bytes, 0), "snapshot_path: write {}",
                    json::quote(paths.state));
  MOTE_CHECK(machine.collect_dirty_pages());
  MOTE_CHECK_WITHIN(write_memory(machine.memory(), kind, *memory_file,
                                 stamped ? std::optional(stamp) : std::nullopt, between),
                    "mem_file_path: write {}", json::quote(paths.memory));
  // The state takes its place once its memory is whole, if under another name: whoever loads it
  // finds it there (see open_memory_of()), should this process end before that has its own.
  MOTE_CHECK_WITHIN(memory_file->finish(), "mem_file_path");
  MOTE_CHECK_WITHIN(state_file->commit(), "snapshot_path");
  memory_file->keep();
  MOTE_CHECK_WITHIN(memory_file->commit(), "mem_file_path");
  machine.note_saved();
  return {};
}

std::vector<std::byte> state_bytes(const SnapshotState& state, const std::string& maker,
                                   const snapshot::MomentId& moment) {
  return snapshot::make_state_file(
      {.maker = maker, .created = static_cast<std::uint64_t>(::time(nullptr)), .id = moment},
      snapshot::write(state));
}

}  // namespace mote::machine
