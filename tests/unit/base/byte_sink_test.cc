#include "base/byte_sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <csignal>

namespace mote {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Writes until the sink is full; returns what it took.
std::size_t fill(ByteSink& sink) {
  const std::vector<std::byte> block(4096);
  std::size_t total = 0;
  for (;;) {
    const auto count = sink.write(block);
    EXPECT_TRUE(count);
    if (!count || *count == 0 || total > 1 << 24) return total;
    total += *count;
  }
}

TEST(FdSink, FullPipeTakesNothingAndStaysAsItWas) {
  Pipe pipe = make_pipe();
  auto sink = FdSink::create(pipe.writer.get());
  ASSERT_TRUE(sink);
  EXPECT_EQ(fill(*sink), 65536);
  EXPECT_EQ(::fcntl(pipe.writer.get(), F_GETFL) & O_NONBLOCK, 0);
  std::array<std::byte, 4096> some{};
  ASSERT_TRUE(read_some(pipe.reader.get(), some));
  const auto again = sink->write(some);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, some.size());
}

TEST(FdSink, FullSocketTakesNothing) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd here(ends[0]);
  UniqueFd there(ends[1]);
  auto sink = FdSink::create(here.get());
  ASSERT_TRUE(sink);
  EXPECT_GT(fill(*sink), 0U);
  there.reset();
  EXPECT_FALSE(sink->write(bytes_of("x"))) << "nobody is left to read";
}

TEST(FdSink, ClosedPipeIsAnError) {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe = make_pipe();
  auto sink = FdSink::create(pipe.writer.get());
  ASSERT_TRUE(sink);
  pipe.reader.reset();
  EXPECT_FALSE(sink->write(bytes_of("x")));
}

TEST(FdSink, FileTakesEverythingInOrder) {
  const UniqueFd file(::memfd_create("sink", MFD_CLOEXEC));
  auto sink = FdSink::create(file.get());
  ASSERT_TRUE(sink);
  ASSERT_TRUE(sink->write(bytes_of("one ")));
  ASSERT_TRUE(sink->write(bytes_of("two")));
  ASSERT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(*read_all(file.get(), 100), "one two");
}

TEST(FdSink, DescriptorThatCannotBeWrittenIsRefused) {
  Pipe pipe = make_pipe();
  EXPECT_FALSE(FdSink::create(pipe.reader.get()));
  EXPECT_FALSE(FdSink::create(-1));
}

}  // namespace
}  // namespace mote
