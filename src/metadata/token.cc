#include "metadata/token.h"

#include <sodium.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <span>

// The library's own would bring sodium_init() and with it all of the library, 300 KiB of it. What
// is called here needs no sodium_init(): that chooses faster code than the portable one, and a
// source of random numbers.
extern "C" void sodium_misuse() { std::abort(); }

namespace mote::metadata {
namespace {

constexpr std::size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagSize = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

// What a token is before it is text.
struct Sealed {
  std::array<unsigned char, kNonceSize> nonce;
  std::array<unsigned char, sizeof(std::int64_t) + kTagSize> box;  // milliseconds, and their tag
};
static_assert(sizeof(Sealed) * 4 / 3 == Tokens::kLength && sizeof(Sealed) % 3 == 0);

// The library's decoder takes some bytes beyond ASCII for letters.
bool is_of_base64(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

Result<void> fill_with_random(std::span<unsigned char> bytes) {
  // The kernel gives so few at once, and whole.
  if (::getrandom(bytes.data(), bytes.size(), GRND_NONBLOCK) == static_cast<ssize_t>(bytes.size()))
    return {};
  return fail_errno(errno, "the host gives no random numbers for a token");
}

std::chrono::milliseconds time_since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

Tokens::Tokens(Clock clock) : clock_(clock ? std::move(clock) : time_since_boot) {
  static_assert(kKeySize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
}

Tokens::~Tokens() { ::explicit_bzero(key_.data(), key_.size()); }

Result<void> Tokens::make_key() {
  if (has_key_) return {};
  MOTE_CHECK(fill_with_random(key_));
  has_key_ = true;
  return {};
}

Result<std::string> Tokens::issue(std::uint32_t life) {
  if (life < kShortestTokenLife || life > kLongestTokenLife) {
    return fail(ErrorKind::kInvalid, "a token's life is {} seconds; it must be from {} to {}", life,
                kShortestTokenLife, kLongestTokenLife);
  }
  MOTE_CHECK(make_key());
  const std::int64_t end = (clock_() + std::chrono::seconds(life)).count();
  std::array<unsigned char, sizeof end> plain{};
  std::memcpy(plain.data(), &end, sizeof end);
  // A random nonce of this length never comes twice.
  Sealed sealed{};
  MOTE_CHECK(fill_with_random(sealed.nonce));
  if (crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.box.data(), nullptr, plain.data(),
                                                 plain.size(), nullptr, 0, nullptr,
                                                 sealed.nonce.data(), key_.data()) != 0) {
    return fail(ErrorKind::kInternal, "libsodium encrypts no token");
  }
  std::string token(kLength + 1, '\0');
  sodium_bin2base64(token.data(), token.size(), reinterpret_cast<const unsigned char*>(&sealed),
                    sizeof sealed, kVariant);
  token.pop_back();
  return token;
}

bool Tokens::good(std::string_view token) const {
  if (!has_key_ || token.size() != kLength || !std::ranges::all_of(token, is_of_base64)) {
    return false;
  }
  Sealed sealed{};
  std::size_t length = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(&sealed), sizeof sealed, token.data(),
                        token.size(), nullptr, &length, nullptr, kVariant) != 0 ||
      length != sizeof sealed) {
    return false;
  }
  std::int64_t end = 0;
  std::array<unsigned char, sizeof end> plain{};
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, sealed.box.data(),
                                                 sealed.box.size(), nullptr, 0, sealed.nonce.data(),
                                                 key_.data()) != 0) {
    return false;
  }
  std::memcpy(&end, plain.data(), sizeof end);
  return clock_().count() < end;
}

}  // namespace mote::metadata
