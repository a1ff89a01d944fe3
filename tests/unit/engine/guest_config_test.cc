#include "engine/guest_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mote::engine {
namespace {

using testing::HasSubstr;

GuestConfig plain() {
  return {.command = {"/bin/sh", "-c", "a\n'b' \"c\""},
          .environment = {},
          .workdir = {},
          .hostname = {},
          .root = FileSystem::kErofs,
          .terminal = {},
          .time_ns = 7};
}

std::string error_of(const GuestConfig& config) {
  const auto checked = check(config);
  return checked ? "it was taken" : checked.error().text();
}

TEST(GuestConfig, RecordsEndInNul) {
  using namespace std::string_literals;
  EXPECT_EQ(guest_records(plain()),
            "arg=/bin/sh\0arg=-c\0arg=a\n'b' \"c\"\0root=/dev/vda\0rootfs=erofs\0tty=0\0time=7\0"s);
  GuestConfig full = plain();
  full.command = {"x"};
  full.environment = {"A=", "B=c=d"};
  full.workdir = "/srv";
  full.hostname = "box";
  full.root = FileSystem::kSquashfs;
  full.terminal = Terminal{.rows = 24, .columns = 80, .term = "xterm"};
  EXPECT_EQ(guest_records(full),
            "arg=x\0env=A=\0env=B=c=d\0workdir=/srv\0hostname=box\0root=/dev/"
            "vda\0rootfs=squashfs\0tty=1\0"
            "rows=24\0cols=80\0term=xterm\0time=7\0"s);
}

TEST(GuestConfig, WhatIsWrongIsNamedByItsOption) {
  EXPECT_TRUE(check(plain()));
  GuestConfig config = plain();
  config.command.clear();
  EXPECT_THAT(error_of(config), HasSubstr("no command"));
  config.command = {""};
  EXPECT_THAT(error_of(config), HasSubstr("no command"));
  for (const char* entry : {"", "A", "=x", "="}) {
    config = plain();
    config.environment = {"GOOD=1", entry};
    EXPECT_THAT(error_of(config), HasSubstr("--env")) << entry;
  }
  config = plain();
  config.workdir = "relative";
  EXPECT_THAT(error_of(config), HasSubstr("--workdir"));
  for (const std::string& name : {std::string(), std::string(65, 'a'), std::string("a b"),
                                  std::string("a\nb"), std::string("a/b")}) {
    config = plain();
    config.hostname = name;
    EXPECT_THAT(error_of(config), HasSubstr("--hostname")) << name;
  }
  config = plain();
  config.environment = {"A=" + std::string(3 << 20, 'x')};
  EXPECT_THAT(error_of(config), HasSubstr("bytes long"));
}

TEST(GuestConfig, InitramfsHasInitAndItsConfiguration) {
  const std::string archive = make_initramfs("PROGRAM", plain());
  EXPECT_THAT(archive, HasSubstr("PROGRAM"));
  EXPECT_THAT(archive, HasSubstr("mote/config"));
  EXPECT_THAT(archive, HasSubstr(guest_records(plain())));
}

}  // namespace
}  // namespace mote::engine
