// The rigs of the kinds of virtio devices: what the conformance suite needs of each. A kind without
// one does not compile there, so none is forgotten.
#pragma once

#include <linux/virtio_blk.h>
#include <linux/virtio_pmem.h>

#include <array>
#include <memory>
#include <string>

#include "storage/temp_file.h"
#include "temp_dir.h"
#include "virtio/fake_file.h"
#include "virtio/fake_link.h"
#include "virtio/kinds.h"
#include "virtio/test_driver.h"
#include "virtio/test_ring.h"

namespace mote::virtio::test {

// For a kind: a configuration to make it from, and a chain that it completes when it is kicked. A
// kind whose backend the host may not have makes its devices itself: make(services), and
// restore(services, state).
template <typename D>
struct KindRig;

// The queue that takes the chain: the first, unless the rig has a kQueue.
template <typename D>
constexpr std::uint16_t queue_of() {
  if constexpr (requires { KindRig<D>::kQueue; }) return KindRig<D>::kQueue;
  return 0;
}

template <>
struct KindRig<Block> {
  storage::test::TempFile file{std::string(32768, 'b')};
  BlockConfig config{
      .drive_id = "rig", .path_on_host = file.path(), .cache_type = CacheType::Writeback};
  static ChainBuilder work(TestRing& ring) {
    ChainBuilder chain = ring.chain();
    chain.in_value(virtio_blk_outhdr{.type = VIRTIO_BLK_T_IN, .ioprio = 0, .sector = 3});
    chain.out(512).out(1);
    return chain;
  }
};

template <>
struct KindRig<Net> {
  static constexpr std::uint16_t kQueue = 1;
  NetConfig config{.iface_id = "rig", .host_dev_name = "tap"};
  auto make(const DeviceServices& services) {
    return Net::create(config, services, std::make_unique<FakeLink>());
  }
  auto restore(const DeviceServices& services, const NetState& state) {
    return Net::restore(config, services, state, std::make_unique<FakeLink>());
  }
  static ChainBuilder work(TestRing& ring) {
    ChainBuilder chain = ring.chain();
    chain.in(std::string(100, 'f'));
    return chain;
  }
};

template <>
struct KindRig<Rng> {
  RngConfig config{};
  static ChainBuilder work(TestRing& ring) {
    ChainBuilder chain = ring.chain();
    chain.out(64);
    return chain;
  }
};

template <>
struct KindRig<Vsock> {
  static constexpr std::uint16_t kQueue = Vsock::kTx;
  mote::test::TempDir directory;
  VsockConfig config{.guest_cid = 3, .uds_path = directory / "v.sock"};
  // The saved device still has its socket.
  Result<std::unique_ptr<Vsock>> restore(const DeviceServices& services, const VsockState& state) {
    config.uds_path += "2";
    return Vsock::restore(config, services, state);
  }
  static ChainBuilder work(TestRing& ring) {
    ChainBuilder chain = ring.chain();
    chain.in_value(virtio_vsock_hdr{.src_cid = 3,
                                    .dst_cid = 2,
                                    .src_port = 1,
                                    .dst_port = 2,
                                    .len = 1,
                                    .type = VIRTIO_VSOCK_TYPE_STREAM,
                                    .op = VIRTIO_VSOCK_OP_RW,
                                    .flags = 0,
                                    .buf_alloc = 0,
                                    .fwd_cnt = 0});
    chain.in("x");
    return chain;
  }
};

template <>
struct KindRig<Balloon> {
  BalloonConfig config{.amount_mib = 8,
                       .deflate_on_oom = true,
                       .stats_polling_interval_s = 1,
                       .free_page_hinting = true,
                       .free_page_reporting = true};
  static ChainBuilder work(TestRing& ring) {
    ChainBuilder chain = ring.chain();
    chain.in_value(std::array<std::uint32_t, 4>{0x8000, 0x8002, 0x8001, 0xffffffff});
    return chain;
  }
};

template <>
struct KindRig<Console> {
  static constexpr std::uint16_t kQueue = 1;
  ConsoleConfig config{.ports = {{}, {.name = "second"}}};
  static ChainBuilder work(TestRing& ring) {
    ChainBuilder chain = ring.chain();
    chain.in("a line of text\n");
    return chain;
  }
};

template <>
struct KindRig<Pmem> {
  // A restored machine has an address space of its own.
  TestServices elsewhere;
  Result<std::unique_ptr<Pmem>> make(const DeviceServices& services) {
    return Pmem::over("pmem 'rig'", std::make_unique<FakeFile>(), services, nullptr);
  }
  Result<std::unique_ptr<Pmem>> restore(const DeviceServices& /*services*/,
                                        const PmemState& state) {
    return Pmem::over("pmem 'rig'", std::make_unique<FakeFile>(), elsewhere.get(), &state);
  }
  static ChainBuilder work(TestRing& ring) {
    ChainBuilder chain = ring.chain();
    chain.in_value(virtio_pmem_req{.type = VIRTIO_PMEM_REQ_TYPE_FLUSH});
    chain.out(4);
    return chain;
  }
};

template <>
struct KindRig<Mem> {
  MemConfig config{.total_size_mib = 256, .requested_size_mib = 256};
  // A restored machine has an address space of its own.
  TestServices elsewhere;
  Result<std::unique_ptr<Mem>> restore(const DeviceServices& /*services*/, const MemState& state) {
    return Mem::restore(config, elsewhere.get(), state);
  }
  static ChainBuilder work(TestRing& ring) {
    ChainBuilder chain = ring.chain();
    virtio_mem_req request{};
    request.type = VIRTIO_MEM_REQ_STATE;
    request.u.state.addr = device_window()[0].start;
    request.u.state.nb_blocks = 128;
    chain.in_value(request);
    chain.out(sizeof(virtio_mem_resp));
    return chain;
  }
};

}  // namespace mote::virtio::test
