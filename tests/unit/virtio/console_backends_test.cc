#include "virtio/console/backends.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "temp_dir.h"

namespace mote::virtio::test {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string read_from(PortBackend& backend) {
  std::string text(100, '\0');
  const auto count = backend.read(std::as_writable_bytes(std::span(text)));
  text.resize(count.value_or(0));
  return text;
}

UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}

class ConsoleBackends : public ::testing::Test {
 protected:
  // Turns the loop until nothing happens any more.
  void settle() {
    for (auto happened = loop->run_once(20); happened && *happened;) happened = loop->run_once(20);
  }
  void listen_to(PortBackend& backend) {
    backend.set_listener([this] { ++calls; });
  }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  mote::test::TempDir directory;
  int calls = 0;
};

TEST_F(ConsoleBackends, StreamsCarryBothWaysAndSayWhenThereIsMore) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  ASSERT_EQ(::pipe2(in.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
  const UniqueFd input(in[0]);
  UniqueFd keys(in[1]);
  const UniqueFd output(out[1]);
  const UniqueFd screen(out[0]);
  auto stream = StreamBackend::create(*loop, input.get(), output.get());
  ASSERT_TRUE(stream);
  listen_to(**stream);
  EXPECT_TRUE((*stream)->connected());
  EXPECT_EQ(read_from(**stream), "");
  ASSERT_TRUE(write_all(keys.get(), bytes_of("abc")));
  settle();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(read_from(**stream), "abc");
  // A full pipe takes nothing, and calls when it has room.
  const std::vector<std::byte> block(1 << 20);
  const auto taken = (*stream)->write(block);
  ASSERT_TRUE(taken);
  EXPECT_LT(*taken, block.size());
  EXPECT_EQ(*(*stream)->write(block), 0U);
  settle();
  EXPECT_EQ(calls, 1);
  std::vector<std::byte> drained(1 << 20);
  ASSERT_TRUE(read_some(screen.get(), drained));
  settle();
  EXPECT_EQ(calls, 2);
  // The end of input is not asked for again.
  EXPECT_EQ(read_from(**stream), "");
  keys.reset();
  settle();
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(read_from(**stream), "");
  settle();
  EXPECT_EQ(calls, 3);
  EXPECT_TRUE((*stream)->connected());
}

TEST_F(ConsoleBackends, FilesAreMadeAndAppendedTo) {
  for (int i = 0; i < 2; ++i) {
    auto file = make_backend({.mode = PortMode::File, .path = directory / "out"}, *loop);
    ASSERT_TRUE(file) << file.error().text();
    EXPECT_EQ(*(*file)->write(bytes_of("line\n")), 5U);
    EXPECT_EQ(read_from(**file), "");
  }
  EXPECT_EQ(directory.read("out"), "line\nline\n");
  const auto missing = make_backend({.mode = PortMode::File, .path = directory / "no/out"}, *loop);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text().find("no/out"), std::string::npos);
  EXPECT_FALSE(make_backend({.mode = PortMode::File, .path = directory.path()}, *loop));
}

TEST_F(ConsoleBackends, AFileWithoutRoomIsAnError) {
  auto full = make_backend({.mode = PortMode::File, .path = "/dev/full"}, *loop);
  ASSERT_TRUE(full) << full.error().text();
  const auto written = (*full)->write(bytes_of("text"));
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().text().find("ENOSPC"), std::string::npos) << written.error().text();
}

TEST_F(ConsoleBackends, NowhereTakesAllAndGivesNothing) {
  auto null = make_backend({}, *loop);
  ASSERT_TRUE(null);
  EXPECT_EQ(*(*null)->write(bytes_of("text")), 4U);
  EXPECT_EQ(read_from(**null), "");
}

TEST_F(ConsoleBackends, ASocketServesOneClientAtATime) {
  const std::string path = directory / "socket";
  {
    auto socket = SocketBackend::listen(*loop, path);
    ASSERT_TRUE(socket) << socket.error().text();
    listen_to(**socket);
    EXPECT_FALSE((*socket)->connected());
    EXPECT_FALSE((*socket)->write(bytes_of("nobody")));
    EXPECT_EQ(read_from(**socket), "");
    UniqueFd first = connect_to(path);
    settle();
    EXPECT_TRUE((*socket)->connected());
    EXPECT_EQ(calls, 1);
    const UniqueFd second = connect_to(path);
    ASSERT_TRUE(write_all(second.get(), bytes_of("second")));
    settle();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(*(*socket)->write(bytes_of("welcome")), 7U);
    EXPECT_EQ(read_from(**socket), "");
    // What a client wrote before it left is still read; then the next one comes.
    ASSERT_TRUE(write_all(first.get(), bytes_of("bye")));
    ::shutdown(first.get(), SHUT_WR);
    settle();
    EXPECT_EQ(read_from(**socket), "bye");
    EXPECT_EQ(read_from(**socket), "");
    settle();
    EXPECT_TRUE((*socket)->connected()) << "it may still read";
    EXPECT_EQ(*(*socket)->write(bytes_of("all")), 3U);
    first.reset();
    settle();
    EXPECT_TRUE((*socket)->connected());
    EXPECT_EQ(read_from(**socket), "second");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ConsoleBackends, AClientThatLeftWithoutBeingReadMakesWayForTheNext) {
  const std::string path = directory / "socket";
  auto socket = SocketBackend::listen(*loop, path);
  ASSERT_TRUE(socket);
  listen_to(**socket);
  {
    const UniqueFd first = connect_to(path);
    settle();
    ASSERT_TRUE(write_all(first.get(), bytes_of("unread")));
  }
  settle();
  const int before = calls;
  settle();
  EXPECT_EQ(calls, before) << "a hang-up is heard once";
  EXPECT_EQ(read_from(**socket), "unread");
  EXPECT_EQ(read_from(**socket), "");
  settle();
  EXPECT_FALSE((*socket)->connected());
  {
    const UniqueFd second = connect_to(path);
    settle();
    ASSERT_TRUE(write_all(second.get(), bytes_of("never read")));
  }
  settle();
  const UniqueFd third = connect_to(path);
  ASSERT_TRUE(write_all(third.get(), bytes_of("third")));
  settle();
  EXPECT_EQ(read_from(**socket), "third");
}

TEST_F(ConsoleBackends, ASlowClientHoldsOutputBack) {
  const std::string path = directory / "socket";
  auto socket = SocketBackend::listen(*loop, path);
  ASSERT_TRUE(socket);
  listen_to(**socket);
  const UniqueFd client = connect_to(path);
  settle();
  calls = 0;
  const std::vector<std::byte> block(4 << 20);
  const auto taken = (*socket)->write(block);
  ASSERT_TRUE(taken);
  EXPECT_LT(*taken, block.size());
  settle();
  EXPECT_EQ(calls, 0);
  std::vector<std::byte> drained(1 << 16);
  for (std::size_t total = 0; total < *taken;) {
    const auto count = read_some(client.get(), drained);
    ASSERT_TRUE(count && *count);
    total += **count;
  }
  settle();
  EXPECT_EQ(calls, 1);
}

TEST_F(ConsoleBackends, ASocketIsNotTakenFromAnother) {
  const std::string path = directory.write("taken", "a file");
  const auto socket = SocketBackend::listen(*loop, path);
  ASSERT_FALSE(socket);
  EXPECT_NE(socket.error().text().find(path), std::string::npos);
  EXPECT_EQ(directory.read("taken"), "a file");
  EXPECT_FALSE(SocketBackend::listen(*loop, std::string(200, 'p')));
}

TEST(ConsoleConfig, IsChecked) {
  const auto error_of = [](std::vector<PortConfig> ports) {
    const auto checked = check(ConsoleConfig{.ports = std::move(ports)});
    return checked ? std::string() : checked.error().text();
  };
  EXPECT_EQ(error_of({{}}), "");
  EXPECT_EQ(error_of({{.mode = PortMode::Stdio},
                      {.mode = PortMode::File, .path = "f", .name = "a.b-c_1"}}),
            "");
  EXPECT_NE(error_of({}).find("0 ports"), std::string::npos);
  EXPECT_NE(error_of(std::vector<PortConfig>(17)).find("17 ports"), std::string::npos);
  EXPECT_EQ(error_of(std::vector<PortConfig>(16)), "");
  for (const PortConfig& wrong :
       {PortConfig{.mode = PortMode::File}, PortConfig{.mode = PortMode::Socket, .path = ""},
        PortConfig{.mode = PortMode::Null, .path = "x"},
        PortConfig{.mode = PortMode::Stdio, .path = "x"},
        PortConfig{.mode = PortMode::File, .path = std::string("a\0b", 3)},
        PortConfig{.mode = PortMode::Socket, .path = std::string(108, 's')}}) {
    EXPECT_NE(error_of({{}, wrong}).find("port 1: path"), std::string::npos);
  }
  EXPECT_EQ(error_of({{.mode = PortMode::Socket, .path = std::string(107, 's')}}), "");
  for (const char* name : {"", "a b", "a/b", "caf\xc3\xa9", "\n"}) {
    EXPECT_NE(error_of({{.name = name}}).find("port 0: name"), std::string::npos) << name;
  }
  EXPECT_NE(error_of({{.name = std::string(65, 'n')}}), "");
  EXPECT_NE(error_of({{.name = "n"}, {}, {.name = "n"}}).find("0 and 2"), std::string::npos);
  EXPECT_NE(error_of({{.mode = PortMode::Stdio}, {.mode = PortMode::Stdio}}).find("Stdio"),
            std::string::npos);
}

}  // namespace
}  // namespace mote::virtio::test
