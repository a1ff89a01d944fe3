// Snapshots as a client of the API makes them: a guest that counts goes on counting in another
// process, in several at once, and what is no snapshot is refused by a monitor that lives on.
#include "engine/layer_files.h"
#include "page_handler.h"
#include "snapshot/memory_file.h"
#include "snapshot_rig.h"

namespace mote::bare {
namespace {

TEST_F(SnapshotTest, AGuestGoesOnCountingInAFreshProcess) {
  for (const unsigned vcpus : {1U, 2U}) {
    SCOPED_TRACE(vcpus);
    {
      Monitor first = start_counter(vcpus);
      EXPECT_EQ(create(first, "s"), 400) << "it runs";
      EXPECT_EQ(pause(first), 204);
      EXPECT_EQ(create(first, "s"), 204);
      // The first goes on too, and what it does is its own.
      EXPECT_EQ(first.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
      EXPECT_TRUE(first.process.send("d"));
      EXPECT_TRUE(first.process.wait_for_output(counted(4)));
    }
    Monitor second = start_monitor("second");
    EXPECT_EQ(load(second, "s"), 204);
    EXPECT_NE(second.answer("GET", "/").body.find(R"("state":"Paused")"), std::string::npos);
    EXPECT_EQ(load(second, "s"), 400) << "twice";
    EXPECT_EQ(second.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
    EXPECT_TRUE(second.process.send("d"));
    EXPECT_TRUE(second.process.wait_for_output(counted(4))) << second.process.output();
    // A snapshot of what was loaded, over the very files that it came from.
    EXPECT_EQ(pause(second), 204);
    EXPECT_EQ(create(second, "s"), 204);
    EXPECT_EQ(second.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
    EXPECT_TRUE(second.process.send("e"));
    EXPECT_TRUE(second.process.wait_for_output(counted(5)));
    Monitor third = start_monitor("third");
    EXPECT_EQ(load(third, "s", R"(,"resume_vm":true)"), 204);
    EXPECT_TRUE(third.process.send("x"));
    EXPECT_TRUE(third.process.wait_for_output(counted(5))) << third.process.output();
  }
}

TEST_F(SnapshotTest, ClonesOfOneSnapshotDoNotMeet) {
  {
    Monitor first = start_counter(1);
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(create(first, "s"), 204);
  }
  const std::string memory = content("s.mem");
  std::vector<Monitor> clones;
  for (const char* name : {"a", "b", "c"}) {
    clones.push_back(start_monitor(name));
    EXPECT_EQ(load(clones.back(), "s", R"(,"resume_vm":true)"), 204);
  }
  for (Monitor& clone : clones) {
    for (int count = 4; count < 8; ++count) {
      EXPECT_TRUE(clone.process.send("x"));
      EXPECT_TRUE(clone.process.wait_for_output(counted(count))) << clone.process.output();
    }
  }
  EXPECT_EQ(content("s.mem"), memory);
}

// Ten changes over one whole file are the whole file of the end, byte for byte, tracked or not.
TEST_F(SnapshotTest, AChainOfChangesIsTheWhole) {
  for (const bool tracked : {true, false}) {
    SCOPED_TRACE(tracked);
    Monitor monitor = start_counter(1, tracked ? R"(,"track_dirty_pages":true)" : "");
    const auto resume = [&] {
      EXPECT_EQ(monitor.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
    };
    EXPECT_EQ(pause(monitor), 204);
    std::filesystem::remove(path_of("base.mem"));
    EXPECT_EQ(create(monitor, "base"), 204);
    for (int round = 0; round < 10; ++round) {
      resume();
      EXPECT_TRUE(monitor.process.send("x"));
      EXPECT_TRUE(monitor.process.wait_for_output(counted(4 + round))) << monitor.process.output();
      EXPECT_EQ(pause(monitor), 204);
      const std::string name = fmt::format("diff{}", round % 2);
      std::filesystem::remove(path_of(name + ".mem"));
      // A request may lay it over the file itself, as the last one does.
      if (round == 9) {
        EXPECT_EQ(create(monitor, "base", "Diff"), 204);
        break;
      }
      EXPECT_EQ(create(monitor, name, "Diff"), 204);
      const auto diff = open_file(path_of(name + ".mem"), O_RDONLY);
      const auto base = open_file(path_of("base.mem"), O_RDWR);
      ASSERT_TRUE(diff && base);
      EXPECT_TRUE(snapshot::lay_over(diff->get(), base->get()));
      EXPECT_LT(sparse_size(name + ".mem"), 1 << 20);
    }
    // The machine has not run since: it is the same moment.
    EXPECT_EQ(create(monitor, "whole"), 204);
    EXPECT_TRUE(content("base.mem") == content("whole.mem"));
    Monitor second = start_monitor("second");
    EXPECT_EQ(load(second, "base", R"(,"resume_vm":true,"track_dirty_pages":true)"), 204);
    EXPECT_TRUE(second.process.send("x"));
    EXPECT_TRUE(second.process.wait_for_output(counted(14))) << second.process.output();
    // And from there on.
    EXPECT_EQ(pause(second), 204);
    EXPECT_EQ(create(second, "base", "Diff"), 204);
    EXPECT_EQ(create(second, "whole"), 204);
    EXPECT_TRUE(content("base.mem") == content("whole.mem"));
  }
}

TEST_F(SnapshotTest, ChangesAreNotLaidOverTheMemoryOfALargerMachine) {
  const Monitor monitor = start_counter(1);
  EXPECT_EQ(pause(monitor), 204);
  write_file("s.mem", "");
  std::filesystem::resize_file(path_of("s.mem"), (64 << 20) + 1);
  EXPECT_EQ(create(monitor, "s", "Diff"), 400);
  EXPECT_EQ(std::filesystem::file_size(path_of("s.mem")), (64U << 20) + 1);
}

TEST_F(SnapshotTest, WhatIsNoSnapshotIsRefusedAndTheMonitorLivesOn) {
  {
    Monitor first = start_counter(1);
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(create(first, "s"), 204);
  }
  const std::string state = content("s");
  std::filesystem::copy_file(path_of("s.mem"), path_of("bad.mem"));
  const Monitor monitor = start_monitor("second");
  const auto refused = [&](const std::string& name, std::string_view why) {
    const auto answer = monitor.answer("PUT", "/snapshot/load", load_body(name));
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.body.find(why), std::string::npos) << answer.body;
  };
  for (const std::size_t length : {std::size_t{0}, std::size_t{8}, std::size_t{100},
                                   std::size_t{128}, std::size_t{1000}, state.size() - 1}) {
    write_file("bad", state.substr(0, length));
    refused("bad", "state file");
  }
  for (std::size_t at = 0; at < state.size(); at += 2503) {
    std::string flipped = state;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    write_file("bad", flipped);
    refused("bad", at < 12 ? "it is no state file" : "damaged");
  }
  write_file("bad", std::string("\x00\x00\x64\x86\x84\x19\x10\x07", 8) + std::string(200, 'x'));
  refused("bad", "Firecracker");
  refused("none", "No such file");
  // Memory that is not as it was.
  write_file("bad", state);
  for (const int size : {(64 << 20) - 4096, 0}) {
    std::filesystem::resize_file(path_of("bad.mem"), static_cast<std::uintmax_t>(size));
    refused("bad", "the guest's memory has 67108864");
  }
  std::filesystem::remove(path_of("bad.mem"));
  refused("bad", "No such file");
  std::filesystem::create_directory(path_of("bad.mem"));
  refused("bad", "no regular file");
  std::filesystem::remove(path_of("bad"));
  std::filesystem::create_directory(path_of("bad"));
  refused("bad", "no regular file");
  EXPECT_NE(monitor.answer("GET", "/").body.find("Not started"), std::string::npos);
  EXPECT_EQ(load(monitor, "s", R"(,"resume_vm":true)"), 204);
  const auto again = monitor.answer("PUT", "/snapshot/load", load_body("s"));
  EXPECT_EQ(again.status, 400);
  EXPECT_NE(again.body.find("was not started"), std::string::npos) << again.body;
}

TEST_F(SnapshotTest, ADiskThatIsMissingOrIsNoLayerIsNamedAndMayComeLater) {
  write_file("disk", std::string(1 << 20, 'd'));
  {
    const Monitor first = start_monitor("first");
    configure(first, 1, 64);
    EXPECT_EQ(first.put("/drives/d", drive("d", path_of("disk"))), 204);
    EXPECT_EQ(first.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(create(first, "s"), 204);
  }
  std::filesystem::rename(path_of("disk"), path_of("elsewhere"));
  const Monitor second = start_monitor("second");
  const auto refused = [&](std::string_view why) {
    const auto answer = second.answer("PUT", "/snapshot/load", load_body("s"));
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.body.find(why), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find("'d'"), std::string::npos) << answer.body;
  };
  refused("No such file");
  std::filesystem::create_directory(path_of("disk"));
  refused("disk");
  std::filesystem::remove(path_of("disk"));
  std::filesystem::rename(path_of("elsewhere"), path_of("disk"));
  EXPECT_EQ(load(second, "s"), 204);
}

TEST_F(SnapshotTest, ADriveOfLayersLiesOnWhatItLayOn) {
  write_file("base", std::string(1 << 20, 'b'));
  write_file("other", std::string(1 << 20, 'o'));
  ASSERT_TRUE(engine::create_layer(path_of("layer"), {path_of("base")}, 0, 0));
  {
    const Monitor first = start_monitor("first");
    configure(first, 1, 64);
    EXPECT_EQ(first.put("/drives/d", fmt::format(R"({{"drive_id":"d","is_root_device":false,)"
                                                 R"("path_on_host":"{}","format":"overlay",)"
                                                 R"("layers":["{}"]}})",
                                                 path_of("layer"), path_of("base"))),
              204);
    EXPECT_EQ(first.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(create(first, "s"), 204);
  }
  const Monitor second = start_monitor("second");
  const auto load_on = [&](const std::string& image) {
    return second.answer("PUT", "/snapshot/load",
                         load_body("s", fmt::format(R"(,"drive_overrides":[{{"drive_id":"d",)"
                                                    R"("path_on_host":"{}","layers":["{}"]}}])",
                                                    path_of("clone"), path_of(image))));
  };
  const auto refused = [&](const std::string& image) {
    const auto answer = load_on(image);
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.body.find("drive 'd' lies on another image"), std::string::npos)
        << answer.body;
    EXPECT_FALSE(std::filesystem::exists(path_of("clone")));
  };
  refused("other");
  std::filesystem::copy_file(path_of("base"), path_of("copy"));
  write_file("base", "mounted" + std::string((1 << 20) - 7, 'b'));
  refused("base");
  EXPECT_EQ(load_on("copy").status, 204) << "wherever it lies";
}

TEST_F(SnapshotTest, TheProgramTellsTheFormatOfAStateFile) {
  {
    Monitor first = start_counter(1);
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(create(first, "s"), 204);
  }
  // Its output, where it ends well.
  const auto says = [](std::vector<std::string> words) {
    auto process = VmmProcess::start({.arguments = std::move(words)});
    EXPECT_TRUE(process) << process.error().text();
    return process->finish().value_or(Ending{}).status == 0 ? process->output() : "";
  };
  const std::string ours = says({"--snapshot-version"});
  EXPECT_TRUE(ours.starts_with("v")) << ours;
  EXPECT_EQ(says({"--describe-snapshot", path_of("s")}), ours);
  std::string damaged = content("s");
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  write_file("s", damaged);
  EXPECT_EQ(says({"--describe-snapshot", path_of("s")}), "");
  EXPECT_EQ(says({"--describe-snapshot", path_of("none")}), "");
}

// The handler is written from the protocol alone; see page_handler.h.
TEST_F(SnapshotTest, PagesComeFromAHandler) {
  {
    Monitor first = start_counter(2);
    EXPECT_EQ(pause(first), 204);
    EXPECT_EQ(create(first, "s"), 204);
  }
  const std::string body =
      fmt::format(R"({{"snapshot_path":"{}","mem_backend":{{"backend_type":"Uffd",)"
                  R"("backend_path":"{}"}},"resume_vm":true}})",
                  path_of("s"), path_of("h.sock"));
  {
    Monitor second = start_monitor("second");
    EXPECT_EQ(second.put("/snapshot/load", body), 400) << "nobody listens";
    for (const Behaviour bad :
         {Behaviour::kTakeNothing, Behaviour::kStaySilent, Behaviour::kHangUp}) {
      const PageHandlerProcess handler(path_of("h.sock"), path_of("s.mem"), bad);
      const auto answer = second.answer("PUT", "/snapshot/load", body);
      EXPECT_EQ(answer.status, 400);
      EXPECT_NE(answer.body.find("page-fault handler"), std::string::npos) << answer.body;
    }
    PageHandlerProcess handler(path_of("h.sock"), path_of("s.mem"), Behaviour::kServe);
    EXPECT_EQ(second.put("/snapshot/load", body), 204);
    EXPECT_TRUE(second.process.send("d"));
    EXPECT_TRUE(second.process.wait_for_output(counted(4))) << second.process.output();
    // What it has goes into a snapshot of its own.
    EXPECT_EQ(pause(second), 204);
    EXPECT_EQ(create(second, "again"), 204);
    EXPECT_EQ(second.ask("PATCH", "/vm", R"({"state":"Resumed"})"), 204);
    handler.end();
    const auto ending = second.process.finish();
    ASSERT_TRUE(ending) << "a guest whose pages are lost hangs";
    EXPECT_EQ(ending->text(), "exit 1");
    EXPECT_NE(second.process.errors().find("has ended"), std::string::npos)
        << second.process.errors();
  }
  Monitor third = start_monitor("third");
  EXPECT_EQ(load(third, "again", R"(,"resume_vm":true)"), 204);
  EXPECT_TRUE(third.process.send("e"));
  EXPECT_TRUE(third.process.wait_for_output(counted(5))) << third.process.output();
}

TEST_F(SnapshotTest, CreatingLeavesWhatWasThereWhereItFails) {
  const Monitor monitor = start_counter(1);
  EXPECT_EQ(pause(monitor), 204);
  EXPECT_EQ(create(monitor, "s"), 204);
  const std::string before = content("s");
  const auto names = scratch_names();
  const auto create_at = [&](const std::string& state, const std::string& memory) {
    return monitor.put(
        "/snapshot/create",
        fmt::format(R"({{"snapshot_path":"{}","mem_file_path":"{}"}})", state, memory));
  };
  EXPECT_EQ(create_at(path_of("s"), path_of("no/m")), 400);
  EXPECT_EQ(create_at(path_of("no/s"), path_of("s.mem")), 400);
  EXPECT_EQ(create_at(path_of("s"), "/dev/null"), 400);
  EXPECT_EQ(create_at("/dev/full", path_of("s.mem")), 400);
  EXPECT_EQ(create_at(path_of("s"), path_of("s")), 400) << "one file for both";
  // One where the other is until it is whole.
  EXPECT_EQ(create_at(path_of("s"), path_of("s.new")), 400);
  EXPECT_EQ(create_at(path_of("s.mem.new"), path_of("s.mem")), 400);
  EXPECT_EQ(create_at(path_of("s"), path_of("./s.new")), 400);
  EXPECT_EQ(create_at(path_of("./s.mem.new"), path_of("s.mem")), 400);
  EXPECT_EQ(create_at(path_of("s.mem.whole"), path_of("s.mem")), 400);
  EXPECT_EQ(create_at(path_of("./s.mem.whole"), path_of("s.mem")), 400);
  EXPECT_EQ(create_at(path_of("s"), path_of(".")), 400);
  EXPECT_EQ(create_at(path_of("."), path_of("s.mem")), 400);
  EXPECT_EQ(content("s"), before);
  EXPECT_EQ(scratch_names(), names);
  const Monitor second = start_monitor("second");
  EXPECT_EQ(load(second, "s"), 204);
}

// A new file in its place would be the end of it.
TEST_F(SnapshotTest, FilesOfTheMachineItselfAreNotWrittenOver) {
  for (const char* name : {"disk", "base", "pmem", "s.new"}) {
    write_file(name, std::string(1 << 20, 'b'));
  }
  ASSERT_TRUE(engine::create_layer(path_of("layer"), {path_of("base")}, 0, 0));
  std::filesystem::create_symlink("disk", path_of("link"));
  const Monitor monitor = start_monitor("first");
  configure(monitor, 1, 64);
  const auto put_drive = [&](const std::string& id, const std::string& more) {
    const std::string body =
        fmt::format(R"({{"drive_id":"{0}","is_root_device":false,"path_on_host":"{1}"{2}}})", id,
                    path_of(id), more);
    EXPECT_EQ(monitor.put("/drives/" + id, body), 204);
  };
  put_drive("disk", "");
  put_drive("layer", fmt::format(R"(,"format":"overlay","layers":["{}"])", path_of("base")));
  EXPECT_EQ(monitor.put("/drives/new", fmt::format(R"({{"drive_id":"new","is_root_device":false,)"
                                                   R"("path_on_host":"{}"}})",
                                                   path_of("s.new"))),
            204);
  EXPECT_EQ(
      monitor.put("/pmem/p", fmt::format(R"({{"id":"p","path_on_host":"{}"}})", path_of("pmem"))),
      204);
  EXPECT_EQ(monitor.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
  EXPECT_EQ(pause(monitor), 204);
  const auto names = scratch_names();
  const auto refused = [&](const std::string& state, const std::string& memory) {
    const auto answer = monitor.answer(
        "PUT", "/snapshot/create",
        fmt::format(R"({{"snapshot_path":"{}","mem_file_path":"{}"}})", state, memory));
    EXPECT_EQ(answer.status, 400) << state << ", " << memory;
    EXPECT_NE(answer.body.find("this microVM's own"), std::string::npos) << answer.body;
  };
  for (const std::string name : {"disk", "link", "./disk", "layer", "base", "pmem", "s"}) {
    refused(path_of(name), path_of("m"));
    refused(path_of("state"), path_of(name));
  }
  refused(guest_path("counter"), path_of("m"));
  EXPECT_EQ(scratch_names(), names);
  EXPECT_EQ(content("s.new").size(), std::size_t{1} << 20);
}

}  // namespace
}  // namespace mote::bare
