// Connections to a service with little data, and with much.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "metadata/tcp_peer.h"

namespace mote::metadata::test {

inline std::string large_data(std::size_t size) {
  std::string value;
  for (std::size_t i = 0; value.size() < size; ++i) value += fmt::format("{:07} ", i);
  return fmt::format(R"({{"large":"{}","small":"s"}})", value);
}

class Tcp : public testing::Test {
 protected:
  Stage stage;
  Wire wire{stage.service};
};

class LargeTcp : public testing::Test {
 protected:
  Stage stage{large_data(40000)};
  Wire wire{stage.service};
  const std::string value =
      *stage.store.data().as<json::Value::Object>()->front().value.as<std::string>();
};

}  // namespace mote::metadata::test
