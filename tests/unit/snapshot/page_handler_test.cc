// Handlers of page faults that do what they like: they take the message or not, talk, serve the
// first page or not, close. What they say means nothing; a load gets its page or an error.
#include "snapshot/page_handler.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>

#include "base/descriptor_passing.h"
#include "temp_dir.h"

namespace mote::snapshot {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSize = 16 * kPage;

struct Manners {
  bool accepts = true;
  unsigned said_before = 0;  // bytes, before it takes the message
  bool takes = true;         // the message, with the descriptor
  unsigned said_after = 0;
  bool serves = true;  // the first page
  bool closes = true;  // at the end; else it goes on talking until it is told to stop
};

class Handler {
 public:
  Handler(const std::string& path, const Manners& manners) : manners_(manners) {
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    thread_ = std::thread([this] { main(); });
  }
  ~Handler() {
    stop_ = true;
    thread_.join();
  }

 private:
  static void say(int socket, unsigned count) {
    const std::string junk(count, '{');
    static_cast<void>(::send(socket, junk.data(), junk.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  }
  void main() {
    pollfd look{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    while (!stop_ && ::poll(&look, 1, 10) == 0) {
    }
    if (!manners_.accepts || stop_) return listener_.reset();
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    say(socket.get(), manners_.said_before);
    const UniqueFd faults = manners_.takes ? take(socket.get()) : UniqueFd();
    say(socket.get(), manners_.said_after);
    if (faults && manners_.serves) serve(faults.get());
    while (!stop_ && !manners_.closes) {
      say(socket.get(), 300);
      ::usleep(100);
    }
  }
  static UniqueFd take(int socket) {
    std::array<std::byte, 4096> text{};
    auto received = receive_some(socket, text);
    if (!received || !*received || (*received)->descriptors.empty()) return {};
    return std::move((*received)->descriptors.front());
  }
  void serve(int faults) const {
    pollfd look{.fd = faults, .events = POLLIN, .revents = 0};
    while (!stop_ && ::poll(&look, 1, 10) <= 0) {
    }
    uffd_msg fault{};
    if (::read(faults, &fault, sizeof fault) != sizeof fault) return;
    const std::string contents(kPage, 'p');
    uffdio_copy page{};
    page.dst = fault.arg.pagefault.address & ~(kPage - 1);
    page.src = reinterpret_cast<std::uintptr_t>(contents.data());
    page.len = kPage;
    EXPECT_EQ(::ioctl(faults, UFFDIO_COPY, &page), 0);
  }

  Manners manners_;
  UniqueFd listener_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class PageHandlers : public testing::Test {
 protected:
  void SetUp() override {
    const UniqueFd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
    if (!device && ::geteuid() != 0) GTEST_SKIP() << "no userfaultfd is to be had here";
    memory_ = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
  }
  void TearDown() override {
    if (memory_ != nullptr) ::munmap(memory_, kSize);
  }
  // The error of a load from it; none: it has got its page.
  std::optional<std::string> load(const std::string& path) {
    auto handler = PageHandler::connect(path);
    if (!handler) return handler.error().text();
    const HandledRegion region{.host = reinterpret_cast<std::uintptr_t>(memory_),
                               .size = kSize,
                               .offset = 0,
                               .page_size = kPage};
    const std::uintptr_t first = region.host;
    const auto done = (*handler)->hand_over(std::span(&region, 1), std::span(&first, 1),
                                            [this](const std::string& what) { lost_ = what; });
    if (!done) return done.error().text();
    EXPECT_EQ(*static_cast<char*>(memory_), 'p');
    ::usleep(20'000);  // it is watched
    return std::nullopt;
  }

  test::TempDir dir_;
  void* memory_ = nullptr;
  std::string lost_;
};

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

TEST_F(PageHandlers, WithAnyMannersEndInAPageOrAnError) {
  const char* const count = std::getenv("MOTE_HANDLERS");
  std::mt19937 random(20261126);
  const auto chance = [&](unsigned of) { return random() % of == 0; };
  const auto descriptors = open_descriptors();
  for (int round = 0; round < (count != nullptr ? std::atoi(count) : 60); ++round) {
    // One that neither serves nor closes is waited for by the clock: see the bare tests.
    Manners manners{.accepts = !chance(6),
                    .said_before = chance(2) ? static_cast<unsigned>(random() % 3000) : 0,
                    .takes = !chance(5),
                    .said_after = chance(2) ? static_cast<unsigned>(random() % 100'000) : 0,
                    .serves = !chance(4),
                    .closes = chance(2)};
    const bool serves = manners.accepts && manners.takes && manners.serves;
    manners.closes = manners.closes || !serves;
    SCOPED_TRACE(testing::Message()
                 << "round " << round << ": accepts " << manners.accepts << ", takes "
                 << manners.takes << ", serves " << manners.serves << ", closes " << manners.closes
                 << ", says " << manners.said_before << " and " << manners.said_after);
    const std::string path = dir_.path() + "/" + std::to_string(round);
    const Handler handler(path, manners);
    const auto error = load(path);
    EXPECT_EQ(!error, serves) << error.value_or("none");
    if (error) EXPECT_NE(error->find(path), std::string::npos) << *error;
    EXPECT_EQ(lost_, "") << "its process is there";
    ASSERT_EQ(::munmap(memory_, kSize), 0);
    memory_ = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace mote::snapshot
