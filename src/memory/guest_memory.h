// GuestMemory is the guest's physical memory as the monitor sees it: regions of host memory at
// guest addresses. The guest changes it at any moment, so nothing here hands out a pointer: values
// are copied, ranges are checked, and what is written marks its pages dirty. Safe to use from
// several threads at once.
//
// RAM is there from the beginning and stays. Devices may add regions of their own (attach()) while
// others read: a region that was added stays for as long as the GuestMemory, and which of its
// blocks count as memory is a map of atomic bits. Thus a slice is safe to use for ever, even where
// the guest unplugs the block under it: what lies there is then nobody's, but it is mapped.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "base/mapped_memory.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/aside.h"
#include "memory/block_map.h"
#include "memory/layers.h"

namespace mote::memory {

using GuestAddress = std::uint64_t;

// What guest memory can hold as a value. A span is trivially copyable as well, but what is meant is
// what it points to.
template <typename T>
concept GuestValue =
    std::is_trivially_copyable_v<T> && !std::is_convertible_v<const T&, std::span<const std::byte>>;

inline constexpr std::uint64_t kPageSize = 4096;

// Where guest memory comes from.
enum class Backing {
  kAnonymous,  // private anonymous pages
  kMemfd,      // a shared memfd: for vhost-user backends and for forking
  kHugetlb2M,  // hugetlbfs pages of 2 MiB from the host's pool, private
  kFile,       // a snapshot's file, private: what is written stays in this process
};

// What is meant to be done to a range of memory. What can be written can be read.
enum class Access { kRead, kWrite };

// A range of guest-physical addresses: [start, start + size).
struct Range {
  GuestAddress start = 0;
  std::uint64_t size = 0;
  GuestAddress end() const { return start + size; }
};

struct MemoryConfig {
  std::vector<Range> ranges;  // ascending, apart, each a multiple of the page size of the backing
  Backing backing = Backing::kAnonymous;
  bool transparent_huge_pages = false;  // madvise(MADV_HUGEPAGE)
  bool track_dirty_pages = false;       // keep a bitmap of the pages that the monitor writes
  bool freezable = false;               // a memfd that freeze() can take
};

// Which pages were written, a bit a page, counted from the start of a region.
class DirtyBitmap {
 public:
  explicit DirtyBitmap(std::uint64_t bytes);
  void mark(std::uint64_t offset, std::uint64_t length);
  bool test(std::uint64_t page) const;
  // Takes all bits and clears them, 64 pages a word.
  std::vector<std::uint64_t> take();
  // Words of 64 pages from `first_page` on, a multiple of 64: marks what they have set, or copies
  // what is set here. Pages behind the last are left out, and not set.
  void merge(std::uint64_t first_page, std::span<const std::uint64_t> words);
  void copy(std::uint64_t first_page, std::span<std::uint64_t> words) const;

 private:
  std::vector<std::atomic<std::uint64_t>> words_;
};

// A checked range of guest memory within one region. It copies in and out, splits, and lends iovecs
// for system calls; it has no way to look at a byte twice without saying so. Valid for as long as
// its GuestMemory.
class GuestSlice {
 public:
  GuestSlice() = default;

  std::uint64_t size() const { return size_; }

  // Copies out `into.size()` bytes from `offset`; false, with nothing copied, when that passes the
  // end.
  [[nodiscard]] bool read(std::uint64_t offset, std::span<std::byte> into) const;
  // Copies in; false, with nothing written, when that passes the end.
  [[nodiscard]] bool write(std::uint64_t offset, std::span<const std::byte> from) const;
  // Writes `length` zero bytes.
  [[nodiscard]] bool zero(std::uint64_t offset, std::uint64_t length) const;

  // One value, copied once. nullopt past the end.
  template <GuestValue T>
  std::optional<T> read(std::uint64_t offset) const {
    T value;
    if (!read(offset, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
    return value;
  }
  template <GuestValue T>
  [[nodiscard]] bool write(std::uint64_t offset, const T& value) const {
    return write(offset, std::as_bytes(std::span(&value, 1)));
  }

  // A naturally aligned integer, read or written in one access that no other CPU sees half done.
  // `offset` must be inside and aligned, which whoever made the slice has checked.
  template <typename T>
  T load(std::uint64_t offset, std::memory_order order) const {
    static_assert(std::is_unsigned_v<T>);
    return std::atomic_ref<T>(*reinterpret_cast<T*>(host_ + offset)).load(order);
  }
  template <typename T>
  void store(std::uint64_t offset, T value, std::memory_order order) const {
    static_assert(std::is_unsigned_v<T>);
    std::atomic_ref<T>(*reinterpret_cast<T*>(host_ + offset)).store(value, order);
    mark_dirty(offset, sizeof(T));
  }

  // The part [offset, offset + length); nullopt when that is not inside.
  std::optional<GuestSlice> sub(std::uint64_t offset, std::uint64_t length) const;

  // Lends the whole slice to a system call that reads from it.
  iovec lend_for_reading() const { return {host_, static_cast<std::size_t>(size_)}; }
  // Lends the whole slice to a system call that writes to it; its pages count as dirty from now on.
  iovec lend_for_writing() const {
    mark_dirty(0, size_);
    return {host_, static_cast<std::size_t>(size_)};
  }

 private:
  friend class GuestMemory;
  GuestSlice(std::byte* host, std::uint64_t size, DirtyBitmap* dirty, std::uint64_t region_offset)
      : host_(host), size_(size), dirty_(dirty), region_offset_(region_offset) {}
  bool inside(std::uint64_t offset, std::uint64_t length) const {
    return offset <= size_ && length <= size_ - offset;
  }
  void mark_dirty(std::uint64_t offset, std::uint64_t length) const {
    if (dirty_ != nullptr) dirty_->mark(region_offset_ + offset, length);
  }

  std::byte* host_ = nullptr;
  std::uint64_t size_ = 0;
  DirtyBitmap* dirty_ = nullptr;
  std::uint64_t region_offset_ = 0;
};

// Memory that a device brings beside RAM.
struct DeviceRegion {
  Range range;                          // whole pages
  MappedMemory mapping;                 // of range.size bytes
  bool writable = true;                 // false: the mapping cannot be written
  std::optional<Backing> backing = {};  // absent: a file, of which nothing is ever discarded
  std::shared_ptr<const BlockMap> blocks = {};  // which parts are memory now; empty: all
  bool track_dirty_pages = false;
};

// What KVM and vhost-user need to know of a region of RAM.
struct RegionView {
  Range range;
  std::uintptr_t host_address = 0;
  int fd = -1;                    // the memfd, or -1
  std::uint64_t file_offset = 0;  // of the region in it
};

class GuestMemory {
 public:
  // Maps every range. Errors: a range that is empty, unaligned, overlapping or past what the host
  // can map; a pool of huge pages that is too small.
  static Result<GuestMemory> create(const MemoryConfig& config);
  // The same over the file `fd`, in which the ranges lie one behind the other, whatever backing
  // `config` names. Errors: as above. A file that ends before its memory does is the caller's to
  // find.
  static Result<GuestMemory> map_file(MemoryConfig config, int fd);
  // The same over layers, shared with whoever else has them until a page is written. `places`, one
  // a range where there are any, are addresses with as much room, where nothing is mapped. Errors:
  // as above; layers that are not of such memory.
  static Result<GuestMemory> map_layers(MemoryConfig config, Layers layers,
                                        std::span<std::byte* const> places = {});
  GuestMemory(GuestMemory&&) = default;
  GuestMemory& operator=(GuestMemory&&) = default;

  // The checked range [address, address + length); an error when it is not all inside one region.
  // Length 0 is allowed anywhere inside a region. Blocks that are unplugged are not inside, and
  // neither is memory that cannot be written unless kRead is all that is meant.
  Result<GuestSlice> slice(GuestAddress address, std::uint64_t length,
                           Access access = Access::kWrite) const;
  // As slice(), without the cost of a message: for hot paths that answer the guest.
  std::optional<GuestSlice> find(GuestAddress address, std::uint64_t length,
                                 Access access = Access::kWrite) const;

  template <GuestValue T>
  Result<T> read(GuestAddress address) const {
    MOTE_TRY(const GuestSlice part, slice(address, sizeof(T)));
    return *part.template read<T>(0);
  }
  template <GuestValue T>
  Result<void> write(GuestAddress address, const T& value) const {
    MOTE_TRY(const GuestSlice part, slice(address, sizeof(T)));
    static_cast<void>(part.write(0, value));
    return {};
  }
  Result<void> read(GuestAddress address, std::span<std::byte> into) const;
  Result<void> write(GuestAddress address, std::span<const std::byte> from) const;

  // Reads `length` bytes of `fd` at `offset` straight into guest memory; an error when the file
  // ends earlier.
  Result<void> load_file(GuestAddress address, std::uint64_t length, int fd,
                         std::uint64_t offset) const;

  // Asks for huge pages behind the blocks of 2 MiB that lie whole in [address, address + length):
  // for what is about to be filled, where they cost no memory. Only a hint, and only where memory
  // is anonymous.
  void prefer_huge_pages(GuestAddress address, std::uint64_t length) const;

  // Adds memory that a device brings, which slice() and find() know from then on. One thread at a
  // time; others may read meanwhile. Errors (kInvalid): no whole pages, an overlap with another
  // region, a mapping of another size.
  Result<void> attach(DeviceRegion region);

  // Gives the whole pages of `slice` (of 2 MiB where that is the backing) back to the host: they
  // read as zeros, and cost nothing until they are touched. Returns the bytes of these pages, 0
  // where none is whole. They become dirty by it. Errors: memory that is a file's (kInvalid); the
  // host refuses.
  Result<std::uint64_t> discard(const GuestSlice& slice) const;

  // Lays the file `fd`, from `offset` on, over memory that a device brought and which is the range
  // [range.start, range.end()) of whole pages, plugged already: what the guest finds there is the
  // file's from now on, private. For memory that was made by map_file(), whose plugged memory is
  // given back accordingly.
  Result<void> lay_file_over(const Range& range, int fd, std::uint64_t offset) const;

  // Does what of the next freeze() can be done while memory is used.
  void prepare_freeze();
  // Makes what RAM holds now layers(), and goes on in a private mapping of them: nothing may touch
  // it meanwhile. The first time this copies nothing; later ones copy what was written since.
  // Returns the bytes that were copied. Errors: memory of another kind than a memfd that is
  // freezable or what is in layers already; too little memory for the copy, and then all is as it
  // was.
  Result<std::uint64_t> freeze();
  // Takes down, for about `time`, what freeze() has put aside; true when there is more. A time of 0
  // only tells.
  bool drop_aside(std::chrono::nanoseconds time) { return aside_.drop(time); }
  // Of the last freeze(), or those it was mapped from; none before.
  const Layers& layers() const { return layers_; }
  // Whether it was frozen or can be: what is this process's own is then not what was written.
  bool was_frozen() const { return frozen_ || config_.backing == Backing::kMemfd; }

  // Where pages are tracked, for a range in one region that starts at a multiple of 64 pages. What
  // KVM noted becomes dirty; `words` are as DirtyBitmap's.
  void merge_dirty(GuestAddress start, std::span<const std::uint64_t> words) const;
  // What is dirty from `start` on; false: pages are not tracked there.
  bool dirty_pages(GuestAddress start, std::span<std::uint64_t> words) const;
  // A range of whole pages in one region has become another by what is no write.
  void mark_dirty(const Range& range) const;
  // Nothing is dirty any more.
  void clear_dirty() const;

  // RAM, without what devices brought.
  std::vector<RegionView> regions() const;
  // What a snapshot has to keep: RAM, and the memory that devices brought and which is no file's,
  // in the order of their addresses. Blocks that are unplugged are inside.
  std::vector<RegionView> contents() const;
  std::uint64_t total_size() const;
  // The end of the last region of RAM.
  GuestAddress end() const;
  // What it was made from.
  const MemoryConfig& config() const { return config_; }
  // The dirty bitmap of region `index`, or nullptr when pages are not tracked.
  DirtyBitmap* dirty_bitmap(std::size_t index) const { return regions_[index].dirty.get(); }

 private:
  struct Region {
    Range range;
    MappedMemory mapping;
    std::uint64_t file_offset = 0;
    std::unique_ptr<DirtyBitmap> dirty;
    std::optional<Backing> backing = {};
    bool writable = true;
    std::shared_ptr<const BlockMap> blocks = {};
    // Of layered memory, a bit a piece (freeze.cc): has become zeros without a write.
    std::unique_ptr<DirtyBitmap> replaced = {};

    void note_replaced(std::uint64_t offset, std::uint64_t size) const;
    std::optional<GuestSlice> find(GuestAddress address, std::uint64_t length, Access access) const;
    bool holds(const GuestSlice& slice) const;
  };
  // A list that grows at its head and never shrinks, so that readers take no lock.
  struct Attached {
    Region region;
    std::unique_ptr<Attached> next;
  };
  struct AttachedList {
    ~AttachedList() { delete head.load(); }
    std::atomic<Attached*> head = nullptr;
  };

  GuestMemory() = default;
  static Result<GuestMemory> make(const MemoryConfig& config, int file);
  void add_region(const Range& range, MappedMemory mapping, std::uint64_t file_offset);
  void make_layered(Region& region) const;
  // Lays the layers over this part of memory, whatever is there.
  Result<void> remap(std::uint64_t offset, std::uint64_t size);
  Result<std::uint64_t> freeze_memfd();
  Result<std::uint64_t> freeze_changes();
  // What is not as the layers have it, or, of the whole, all that is not zeros; as extents of the
  // layer that they are to be in.
  Result<std::vector<Extent>> find_changes(bool whole) const;
  Result<std::uint64_t> copy_out(std::span<const Extent> extents, int fd) const;
  // Calls `each(host, offset)` for the parts of the regions that lie in [offset, offset + size).
  template <typename Each>
  Result<void> each_span(std::uint64_t offset, std::uint64_t size, Each&& each) const;
  const Region* region_at(GuestAddress address) const;
  const Region* region_of(const GuestSlice& slice) const;

  MemoryConfig config_;
  std::vector<Region> regions_;
  std::unique_ptr<AttachedList> attached_ = std::make_unique<AttachedList>();
  UniqueFd memfd_;
  Layers layers_;
  std::vector<Extent> touched_;  // of the memfd, as prepare_freeze() found it
  Aside aside_;
  bool frozen_ = false;
};

// Gives whole pages of a mapping with such a backing back to the host: they read as zeros, and cost
// nothing until they are touched. False, with errno: the host would not.
bool discard_pages(std::byte* start, std::uint64_t size, Backing backing);

}  // namespace mote::memory
