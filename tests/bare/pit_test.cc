// The PIT is made as the guest comes to use it, and is then as if it had always been there.
#include "base/clock.h"
#include "machine/snapshot.h"
#include "snapshot_rig.h"

namespace mote::bare {
namespace {

constexpr int kCounter0 = 0x40, kCounter2 = 0x42, kControl = 0x43, kSpeaker = 0x61;
constexpr unsigned kMoving = 0x30;  // of the speaker's port: a clock, and a counter's output

// A read, or a write of `value`.
struct Access {
  int port;
  std::optional<int> value = {};
};
using Accesses = std::vector<Access>;

// Whether the kernel has a thread for the PIT of process `pid`; nothing where it shows none of its
// threads here.
std::optional<bool> has_thread(pid_t pid) {
  bool shown = false;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "comm");
    std::string name;
    std::getline(file, name);
    if (name == fmt::format("kvm-pit/{}", pid)) return true;
    shown |= name == "kthreadd";
  }
  return shown ? std::optional(false) : std::nullopt;
}

// A monitor whose guest does as it is told.
struct Told {
  Monitor monitor;
  int accesses = 0;  // so far

  unsigned operator()(const Access& access) {
    std::string order{access.value ? 'o' : 'i', static_cast<char>(access.port)};
    if (access.value) order += static_cast<char>(*access.value);
    EXPECT_TRUE(monitor.process.send(order));
    const std::string end = fmt::format(" accesses={:08x}\n", ++accesses);
    EXPECT_TRUE(monitor.process.wait_for_output(end)) << monitor.process.output();
    const std::string& text = monitor.process.output();
    const std::size_t at = text.find(end);
    return at < 8 ? ~0U : static_cast<unsigned>(std::stoul(text.substr(at - 8, 8), nullptr, 16));
  }
};

class PitTest : public SnapshotTest {
 protected:
  Told start_guest(const std::string& name, const std::vector<std::string>& flags = {}) {
    Monitor monitor = start_monitor(name, flags);
    configure(monitor, 1, 16, {}, "pit");
    EXPECT_EQ(monitor.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
    EXPECT_TRUE(monitor.process.wait_for_output("ready\n")) << monitor.process.output();
    return {.monitor = std::move(monitor)};
  }
  // What a snapshot of a paused or running guest has of the PIT.
  std::optional<kvm_pit_state2> saved(const Monitor& monitor, const std::string& name) {
    EXPECT_EQ(pause(monitor), 204);
    EXPECT_EQ(create(monitor, name), 204);
    const auto loaded = machine::read_snapshot(path_of(name));
    EXPECT_TRUE(loaded) << loaded.error().text();
    return loaded ? loaded->state.machine.vm.pit : std::nullopt;
  }
};

void expect_equal(const kvm_pit_state2& left, const kvm_pit_state2& right) {
  EXPECT_EQ(left.flags, right.flags);
  for (std::size_t i = 0; i < std::size(left.channels); ++i) {
    SCOPED_TRACE(i);
    const kvm_pit_channel_state &a = left.channels[i], &b = right.channels[i];
    EXPECT_EQ(a.count, b.count);
    EXPECT_EQ(a.count_latched, b.count_latched);
    EXPECT_EQ(a.status_latched, b.status_latched);
    EXPECT_EQ(a.status & 0x7f, b.status & 0x7f) << "but for the output";
    EXPECT_EQ(a.read_state, b.read_state);
    EXPECT_EQ(a.write_state, b.write_state);
    EXPECT_EQ(a.write_latch, b.write_latch);
    EXPECT_EQ(a.rw_mode, b.rw_mode);
    EXPECT_EQ(a.mode, b.mode);
    EXPECT_EQ(a.bcd, b.bcd);
    EXPECT_EQ(a.gate, b.gate);
  }
}

TEST_F(PitTest, IsMadeAsTheGuestUsesIt) {
  Told guest = start_guest("first");
  const pid_t pid = guest.monitor.process.pid();
  if (const auto there = has_thread(pid)) EXPECT_FALSE(*there);
  EXPECT_FALSE(saved(guest.monitor, "without"));
  EXPECT_EQ(guest.monitor.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
  // As kernels begin: the gate of the third counter, and a mode and a count for it.
  EXPECT_EQ(guest({kSpeaker}) & ~kMoving, 0U);
  if (const auto there = has_thread(pid)) EXPECT_TRUE(*there);
  guest({kSpeaker, 1});
  guest({kControl, 0xb0});
  guest({kCounter2, 0xff});
  guest({kCounter2, 0xff});
  EXPECT_NE(guest({kCounter2}) | guest({kCounter2}) << 8, 0xffffU) << "it counts";
  const auto state = saved(guest.monitor, "with");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->channels[2].count, 0xffffU);

  // Both go on, each with what it had.
  Told plain{.monitor = start_monitor("second")};
  EXPECT_EQ(load(plain.monitor, "without", R"(,"resume_vm":true)"), 204);
  EXPECT_FALSE(saved(plain.monitor, "again"));
  Told counting{.monitor = start_monitor("third"), .accesses = guest.accesses};
  EXPECT_EQ(load(counting.monitor, "with", R"(,"resume_vm":true)"), 204);
  const auto again = saved(counting.monitor, "again");
  ASSERT_TRUE(again);
  expect_equal(*again, *state);
  EXPECT_EQ(counting.monitor.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
  counting({kControl, 0x34});
}

// What the first access does, against the same where KVM has had the timer before.
TEST_F(PitTest, TheFirstAccessIsAsAnyOther) {
  const std::vector<Accesses> all{
      {{kControl, 0x34}, {kCounter0, 12}, {kCounter0, 34}},
      {{kControl, 0x16}, {kCounter0, 0}},
      {{kControl, 0xaf}, {kCounter2, 0x12}},  // the high byte, mode 7, decimal
      {{kControl, 0xc6}, {kControl, 0x34}},   // read-back: counts, states
      {{kControl, 0xd2}},                     // counts alone
      {{kControl, 0x00}},                     // a latch
      {{kCounter0, 77}},
      {{kCounter2, 0}, {kCounter2}},
      {{kCounter0}, {kCounter0}},
      {{kSpeaker, 3}, {kSpeaker}},
      {{kSpeaker, 0}},
      {{kControl}},
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    Told first = start_guest("first"), later = start_guest("later");
    later({kControl});  // which reads as nothing and changes nothing
    const auto began = static_cast<std::int64_t>(monotonic_ns());
    for (const Access& access : all[i]) {
      const unsigned of_first = first(access), of_later = later(access);
      // A counter has counted meanwhile; a control word KVM leaves unanswered.
      if (access.port == kSpeaker) EXPECT_EQ(of_first & ~kMoving, of_later & ~kMoving);
    }
    const auto ours = saved(first.monitor, "first"), kvms = saved(later.monitor, "later");
    ASSERT_TRUE(ours && kvms);
    expect_equal(*ours, *kvms);
    // KVM keeps no such time of the first counter, for which it has a timer of its own.
    const std::int64_t loaded = ours->channels[2].count_load_time;
    EXPECT_GT(loaded, began - 60'000'000'000) << "at the latest when it was made";
    EXPECT_LE(loaded, static_cast<std::int64_t>(monotonic_ns()));
  }
}

TEST_F(PitTest, AMachineCanBeWithoutOne) {
  Told guest = start_guest("without", {"--no-pit"});
  for (const int port : {kCounter0, kCounter2, kControl, kSpeaker}) {
    EXPECT_EQ(guest({port}), 0xffU);
    guest({port, 0x34});
  }
  if (const auto there = has_thread(guest.monitor.process.pid())) EXPECT_FALSE(*there);
  EXPECT_FALSE(saved(guest.monitor, "without"));

  Told other = start_guest("with");
  other({kControl, 0x34});
  EXPECT_TRUE(saved(other.monitor, "with"));
  const Monitor monitor = start_monitor("loads", {"--no-pit"});
  const auto answer = monitor.answer("PUT", "/snapshot/load", load_body("with"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("--no-pit"), std::string::npos) << answer.body;
  EXPECT_EQ(load(monitor, "without", R"(,"resume_vm":true)"), 204);
}

}  // namespace
}  // namespace mote::bare
