#include "base/unique_fd.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "temp_dir.h"

namespace mote {
namespace {

using testing::HasSubstr;

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    out = UniqueFd(ends[0]);
    in = UniqueFd(ends[1]);
  }
  UniqueFd out;
  UniqueFd in;
};

TEST(UniqueFd, ClosesWhatItOwnsOnce) {
  const UniqueFd source = *make_eventfd();
  const int number = source.duplicate()->get();
  EXPECT_FALSE(is_open(number));
  UniqueFd first = *source.duplicate();
  const int fd = first.get();
  UniqueFd second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that it is empty is what is tested
  EXPECT_EQ(second.get(), fd);
  EXPECT_TRUE(is_open(fd));
  second = *source.duplicate();
  EXPECT_FALSE(is_open(fd));
  UniqueFd& itself = second;
  second = std::move(itself);
  EXPECT_TRUE(is_open(second.get()));
  const int released = second.release();
  second.reset();
  EXPECT_TRUE(is_open(released));
  UniqueFd(released).reset();
  EXPECT_FALSE(is_open(released));
}

TEST(UniqueFd, IsForThisProcessAlone) {
  const test::TempDir dir;
  const UniqueFd file = *open_file(dir.write("f", ""), O_RDWR);
  const UniqueFd copy = *file.duplicate();
  const UniqueFd event = *make_eventfd();
  for (const UniqueFd* fd : {&file, &copy, &event}) {
    EXPECT_EQ(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
  EXPECT_FALSE(UniqueFd().duplicate());
}

TEST(OpenFile, NamesThePath) {
  const Result<UniqueFd> file = open_file("/nowhere/at/all", O_RDONLY);
  EXPECT_EQ(file.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(file.error().text(), HasSubstr("open '/nowhere/at/all'"));
}

TEST(ReadSome, TellsTheEndFromNothingYet) {
  Pipe pipe;
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(*read_some(pipe.out.get(), buffer), std::nullopt);
  EXPECT_EQ(**write_some(pipe.in.get(), bytes("abc")), 3U);
  EXPECT_EQ(**read_some(pipe.out.get(), buffer), 3U);
  pipe.in.reset();
  EXPECT_EQ(**read_some(pipe.out.get(), buffer), 0U);
  EXPECT_FALSE(read_some(-1, buffer));
}

TEST(WriteSome, StopsWhereItWouldBlock) {
  const Pipe pipe;
  const std::vector<std::byte> page(4096);
  std::size_t total = 0;
  while (const auto written = *write_some(pipe.in.get(), page)) total += *written;
  EXPECT_GE(total, 4096U);
}

TEST(ReadAt, ReadsUpToTheEnd) {
  const test::TempDir dir;
  const UniqueFd file = *open_file(dir.write("f", "0123456789"), O_RDWR);
  std::array<std::byte, 4> buffer{};
  EXPECT_EQ(*read_at(file.get(), buffer, 3), 4U);
  EXPECT_EQ(buffer[0], std::byte{'3'});
  EXPECT_EQ(*read_at(file.get(), buffer, 8), 2U);
  EXPECT_EQ(*read_at(file.get(), buffer, 100), 0U);
  EXPECT_FALSE(read_at(file.get(), buffer, UINT64_MAX));
  ASSERT_TRUE(write_at(file.get(), bytes("AB"), 9));
  EXPECT_EQ(dir.read("f"), "012345678AB");
}

TEST(ReadAll, HasALimit) {
  const test::TempDir dir;
  const std::string content(40000, 'x');
  const std::string path = dir.write("f", content);
  EXPECT_EQ(*read_all(open_file(path, O_RDONLY)->get(), 40000), content);
  const auto result = read_all(open_file(path, O_RDONLY)->get(), 39999);
  EXPECT_EQ(result.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(result.error().text(), HasSubstr("39999"));
  EXPECT_EQ(*read_all(open_file(dir.write("empty", ""), O_RDONLY)->get(), 0), "");
}

TEST(WriteAll, WritesEverything) {
  const test::TempDir dir;
  const UniqueFd file = *open_file(dir.write("f", ""), O_WRONLY);
  ASSERT_TRUE(write_all(file.get(), bytes("hello")));
  ASSERT_TRUE(write_all(file.get(), {}));
  EXPECT_EQ(dir.read("f"), "hello");
  EXPECT_FALSE(write_all(-1, bytes("x")));
}

TEST(EventFd, CountsAndNeverBlocks) {
  const UniqueFd event = *make_eventfd(2);
  EXPECT_EQ(drain_eventfd(event.get()), 2U);
  EXPECT_EQ(drain_eventfd(event.get()), 0U);
  const std::uint64_t full = UINT64_MAX - 1;
  ASSERT_TRUE(write_all(event.get(), std::as_bytes(std::span(&full, 1))));
  signal_eventfd(event.get());
  EXPECT_EQ(drain_eventfd(event.get()), full);
  signal_eventfd(event.get());
  signal_eventfd(event.get());
  EXPECT_EQ(drain_eventfd(event.get()), 2U);
}

TEST(AllowDescriptors, RaisesTheSoftLimitWhereItIsTooLow) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const auto soft_limit = [] {
    rlimit now{};
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &now), 0);
    return now.rlim_cur;
  };
  ASSERT_GT(old.rlim_max, 64U);
  const rlimit low{.rlim_cur = 64, .rlim_max = old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(allow_descriptors(64), 64U);
  EXPECT_EQ(soft_limit(), 64U) << "left alone where it does";
  EXPECT_EQ(allow_descriptors(65), old.rlim_max);
  EXPECT_EQ(soft_limit(), old.rlim_max);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
}

}  // namespace
}  // namespace mote
