#include "base/answer.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace mote {
namespace {

TEST(Answer, IsWaitedForByEveryThreadThatWantsIt) {
  Answer<std::unique_ptr<int>> answer;
  int seen = 0;
  std::jthread other([&] { seen = *answer.get(); });
  std::jthread giver([&] { answer.give(std::make_unique<int>(42)); });
  EXPECT_EQ(*answer.get(), 42);
  other.join();
  EXPECT_EQ(seen, 42);
}

}  // namespace
}  // namespace mote
