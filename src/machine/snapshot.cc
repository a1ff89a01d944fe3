#include "machine/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "arch/x86_64/layout.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "memory/backing.h"
#include "snapshot/describe.h"
#include "snapshot/new_file.h"
#include "snapshot/working_set.h"

namespace mote::machine {
namespace {

using snapshot::MemoryPart;
using snapshot::NewFile;

bool same(const MemoryPart& one, const MemoryPart& other) {
  return one.start == other.start && one.size == other.size;
}

// Whether `state` says of RAM what `ranges` are.
Result<void> check_ram(const SnapshotState& state, const std::vector<memory::Range>& ranges) {
  const bool fits = ranges.size() <= state.memory.size() &&
                    std::equal(ranges.begin(), ranges.end(), state.memory.begin(),
                               [](const memory::Range& range, const MemoryPart& part) {
                                 return range.start == part.start && range.size == part.size;
                               });
  if (fits) return {};
  return fail(
      ErrorKind::kInvalid,
      "the state has its guest's memory where a machine of this size has none on this host");
}

// Lays the file over the blocks of `part` that are plugged, runs of them at once.
Result<void> lay_over(const memory::GuestMemory& memory, const MemoryPart& part, int fd,
                      std::uint64_t offset) {
  constexpr std::uint64_t kBlock = 2 << 20;  // the smallest
  std::uint64_t begin = 0;
  for (std::uint64_t at = 0; at <= part.size; at += kBlock) {
    if (at < part.size && memory.find(part.start + at, kBlock)) continue;
    if (at > begin) {
      MOTE_CHECK(memory.lay_file_over({.start = part.start + begin, .size = at - begin}, fd,
                                      offset + begin));
    }
    begin = at + kBlock;
  }
  return {};
}

// Whether `memory`, with what devices brought, is where `saved` was.
Result<void> check_parts(const memory::GuestMemory& memory, const std::vector<MemoryPart>& saved) {
  if (std::ranges::equal(snapshot::parts_of(memory), saved, same)) return {};
  return fail(ErrorKind::kInvalid,
              "the state has memory of its devices elsewhere than they have it here");
}

// What devices brought, behind the RAM of `ram` parts.
Result<void> fill_plugged(const memory::GuestMemory& memory, const std::vector<MemoryPart>& saved,
                          std::size_t ram, int fd) {
  MOTE_CHECK(check_parts(memory, saved));
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < saved.size(); ++i) {
    if (i >= ram) MOTE_CHECK(lay_over(memory, saved[i], fd, offset));
    offset += saved[i].size;
  }
  return {};
}

Result<struct stat> look_at_memory_file(int fd, std::uint64_t size) {
  struct stat facts{};
  if (!look_at(fd, facts)) return fail_errno(errno, "look at it");
  if (!S_ISREG(facts.st_mode)) return fail(ErrorKind::kInvalid, "it is no regular file");
  if (static_cast<std::uint64_t>(facts.st_size) < size) {
    return fail(ErrorKind::kInvalid, "it has {} bytes; the guest's memory has {}", facts.st_size,
                size);
  }
  return facts;
}

Result<LoadedState> read_snapshot_text(const std::string& text, const std::string& name) {
  auto file = snapshot::read_state_file(std::as_bytes(std::span(text)));
  if (!file) return std::unexpected(std::move(file.error()).within(name));
  snapshot::Notes notes;
  auto state = snapshot::read<SnapshotState>(file->body, notes);
  if (!state) {
    return std::unexpected(
        std::move(state.error())
            .within(fmt::format("{}, made by {}", name, json::quote(file->header.maker))));
  }
  for (const std::string& place : notes.skipped) {
    log::warning("{}: {} is not known to this mote and is left out", name, place);
  }
  if (notes.more > 0) log::warning("{}: so are {} others", name, notes.more);
  state->config.cpu_config = state->cpu_config;
  MOTE_CHECK_WITHIN(check(state->config), "{}: the configuration in it", name);
  return LoadedState{.header = std::move(file->header), .state = std::move(*state)};
}

// The memory of `loaded`, at `path` or, where whoever wrote it ended before it was in place, under
// the name that it had until then.
Result<UniqueFd> open_memory_of(const LoadedState& loaded, const std::string& path) {
  auto fd = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!loaded.state.stamped || (fd && snapshot::check_moment_of(fd->get(), loaded.header.id)))
    return fd;
  const auto other = NewFile::whole_name(path);
  if (!other) return fd;
  auto unplaced = open_file(*other, O_RDONLY | O_NONBLOCK);
  if (!unplaced || !snapshot::check_moment_of(unplaced->get(), loaded.header.id)) return fd;
  log::warning("the memory of this state is at {}: who saved it ended before it was in place",
               json::quote(*other));
  return unplaced;
}

// Whether what the handler brought is of the moment `wanted`.
Result<void> check_brought(const memory::GuestMemory& memory, const snapshot::MomentId& wanted) {
  std::array<std::byte, snapshot::kStampSize> bytes{};
  MOTE_CHECK(memory.read(snapshot::kStampAt, bytes));
  MOTE_CHECK_WITHIN(snapshot::check_moment(snapshot::stamp_of(bytes), wanted),
                    "memory of the page-fault handler");
  return {};
}

}  // namespace

Result<LoadedState> read_snapshot(const std::string& path) {
  auto text = snapshot::read_bytes_of(path);
  if (!text) return std::unexpected(std::move(text.error()).within("state file"));
  return read_snapshot_text(*text, fmt::format("state file {}", json::quote(path)));
}

Result<LoadedState> read_snapshot_of(int fd, const std::string& name) {
  MOTE_TRY(const std::string text, snapshot::read_bytes_of(fd, name));
  return read_snapshot_text(text, name);
}

Result<memory::MemoryConfig> restored_memory(const SnapshotState& state,
                                             const MachineConfig& config) {
  if (config.huge_pages == HugePages::TwoMib) {
    return fail(ErrorKind::kUnsupported,
                "pages of 2 MiB cannot be a file's: memory of huge_pages 2M comes from a "
                "page-fault handler (backend_type Uffd), or huge_pages says None or Transparent");
  }
  MOTE_TRY(memory::MemoryConfig wanted, Machine::memory_config(config));
  MOTE_CHECK(check_ram(state, wanted.ranges));
  return wanted;
}

Result<RestoreSource> map_open_snapshot(const LoadedState& loaded, const MachineConfig& config,
                                        UniqueFd fd, const std::string& name, const Shell* shell) {
  const SnapshotState& state = loaded.state;
  MOTE_TRY(memory::MemoryConfig wanted, restored_memory(state, config));
  if (state.forked) {
    return fail(ErrorKind::kUnsupported,
                "the state is of a microVM that was forked: its memory comes as descriptors "
                "(backend_type Descriptors)");
  }
  const auto facts = look_at_memory_file(fd.get(), snapshot::size_of(state.memory));
  MOTE_CHECK_WITHIN(facts, "{}", name);
  if (state.stamped) {
    MOTE_CHECK_WITHIN(snapshot::check_moment_of(fd.get(), loaded.header.id), "{}", name);
    MOTE_CHECK_WITHIN(snapshot::check_whole(fd.get()), "{}", name);
  }
  const std::size_t ram = wanted.ranges.size();
  const auto file = std::make_shared<const UniqueFd>(std::move(fd));
  const std::uint64_t size = memory::total_of(wanted);
  const auto places = shell == nullptr ? std::vector<std::byte*>{} : shell->places(wanted.ranges);
  MOTE_TRY(
      memory::GuestMemory memory,
      memory::GuestMemory::map_layers(
          std::move(wanted), {.files = {file}, .extents = {{.offset = 0, .size = size}}}, places));
  RestoreSource source{.memory = std::move(memory),
                       .moment = loaded.header.id,
                       .file = snapshot::MappedFile(file, *facts)};
  source.fill = [file, saved = state.memory, ram](const memory::GuestMemory& whole) {
    return fill_plugged(whole, saved, ram, file->get());
  };
  return source;
}

Result<RestoreSource> map_snapshot(const LoadedState& loaded, const MachineConfig& config,
                                   const std::string& path, const Shell* shell) {
  const std::string name = fmt::format("memory file {}", json::quote(path));
  if (path.empty() || path.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "{} is no path of a file", name);
  }
  auto fd = open_memory_of(loaded, path);
  if (!fd) return std::unexpected(std::move(fd.error()).within("memory file"));
  return map_open_snapshot(loaded, config, std::move(*fd), name, shell);
}

Result<void> prefetch(EventLoop& loop, RestoreSource& source, const std::string& path,
                      const std::array<std::byte, 16>& id) {
  MOTE_TRY(UniqueFd file, source.memory.layers().files.front()->duplicate());
  MOTE_TRY(const auto set,
           snapshot::WorkingSet::attach(loop, source.memory, path, std::move(file), id));
  source.begin = [set] { set->begin(); };
  source.keep = set;
  return {};
}

Result<RestoreSource> receive_snapshot(const LoadedState& loaded, const MachineConfig& config,
                                       const std::string& path, snapshot::PageHandler::Lost lost) {
  const SnapshotState& state = loaded.state;
  if (state.forked) {
    return fail(ErrorKind::kUnsupported, "the state is of a microVM that was forked");
  }
  MachineConfig own = config;
  own.forkable = false;  // what a handler brings is nobody else's
  MOTE_TRY(const memory::MemoryConfig wanted, Machine::memory_config(own));
  MOTE_CHECK(check_ram(state, wanted.ranges));
  MOTE_TRY(memory::GuestMemory memory, memory::GuestMemory::create(wanted));
  MOTE_TRY(std::shared_ptr<snapshot::PageHandler> handler, snapshot::PageHandler::connect(path));
  const std::uint64_t page_size =
      config.huge_pages == HugePages::TwoMib ? std::uint64_t{2} << 20 : memory::kPageSize;
  RestoreSource source{
      .memory = std::move(memory), .keep = handler, .on_demand = true, .moment = loaded.header.id};
  source.fill = [handler, saved = state.memory, page_size, stamped = state.stamped,
                 moment = loaded.header.id,
                 lost = std::move(lost)](const memory::GuestMemory& whole) -> Result<void> {
    MOTE_CHECK(check_parts(whole, saved));
    std::vector<snapshot::HandledRegion> regions;
    std::uint64_t offset = 0;
    for (const memory::RegionView& region : whole.contents()) {
      regions.push_back({.host = region.host_address,
                         .size = region.range.size,
                         .offset = offset,
                         .page_size = page_size});
      offset += region.range.size;
    }
    // What the machine touches while it is made.
    const std::uintptr_t begin = regions.front().host;
    MOTE_CHECK(handler->hand_over(
        regions, std::array{begin, begin + arch::layout::kVmGenId, begin + snapshot::kStampAt},
        lost));
    return stamped ? check_brought(whole, moment) : Result<void>{};
  };
  return source;
}

}  // namespace mote::machine
