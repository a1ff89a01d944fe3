#include "engine/api_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>

#include "base/descriptor_passing.h"
#include "base/json.h"
#include "base/unique_fd.h"

namespace mote::engine {
namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";

bool is_plain(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c != 0x7f; });
}

bool same_name(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  });
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Head {
  int status = 0;
  std::size_t body_size = 0;
  std::size_t size = 0;  // of the head itself
};

// nullopt while it is not whole.
Result<std::optional<Head>> read_head(std::string_view bytes) {
  const auto end = bytes.find(kEndOfHead);
  if (end == std::string_view::npos) return std::nullopt;
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  Head head{.size = end + kEndOfHead.size()};
  const auto status =
      bytes.starts_with(kVersion) ? number<int>(bytes.substr(kVersion.size(), 3)) : std::nullopt;
  if (!status) return fail(ErrorKind::kIo, "what answers at the socket does not speak HTTP/1.1");
  head.status = *status;
  for (std::string_view rest = bytes.substr(0, end + 2); !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(line.size() + 2);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !same_name(line.substr(0, colon), "Content-Length"))
      continue;
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    const auto size = number<std::size_t>(value);
    if (!size || *size > kMaxAnswer)
      return fail(ErrorKind::kIo, "the answer's Content-Length is {}", json::quote(value));
    head.body_size = *size;
  }
  return head;
}

// Not connected: with errno.
UniqueFd try_connect(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket &&
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    const int why = errno;
    socket.reset();
    errno = why;
  }
  return socket;
}

Result<UniqueFd> connect_to(const std::string& path) {
  MOTE_CHECK(check_socket_path(path));
  UniqueFd socket = try_connect(path);
  if (!socket) return fail_errno(errno, "connect to {}", json::quote(path));
  return socket;
}

// The answer as far as it is there; nullopt while it is not whole.
Result<std::optional<ApiAnswer>> try_decode(std::string_view bytes) {
  while (true) {
    MOTE_TRY(const auto head, read_head(bytes));
    if (!head || bytes.size() - head->size < head->body_size) return std::nullopt;
    if (head->status >= 200) {
      return ApiAnswer{.status = head->status,
                       .body = std::string(bytes.substr(head->size, head->body_size))};
    }
    bytes.remove_prefix(head->size);
  }
}

}  // namespace

Result<std::string> encode(const ApiRequest& request) {
  if (!is_plain(request.method) || !is_plain(request.path)) {
    return fail(ErrorKind::kInvalid,
                "{} {} is no request; a method and a path must be without spaces and control "
                "characters, and not empty",
                json::quote(request.method), json::quote(request.path));
  }
  std::string text =
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n",
                  request.method, request.path);
  if (!request.body.empty()) {
    text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n",
                        request.body.size());
  }
  return text + "\r\n" + request.body;
}

Result<ApiAnswer> decode(std::string_view bytes) {
  MOTE_TRY(auto answer, try_decode(bytes));
  if (!answer) return fail(ErrorKind::kIo, "the monitor ended the connection before its answer");
  return std::move(*answer);
}

Result<void> check_socket_path(const std::string& path) {
  constexpr std::size_t kMost = sizeof sockaddr_un::sun_path - 1;
  if (!path.empty() && path.size() <= kMost) return {};
  return fail(ErrorKind::kInvalid, "{} is no path of a socket; it must have 1 to {} bytes",
              json::quote(path), kMost);
}

bool is_deserted(const std::string& socket) {
  return check_socket_path(socket) && !try_connect(socket) && errno == ECONNREFUSED;
}

Result<ApiAnswer> ask(const ApiRequest& request, std::span<const UniqueFd> descriptors) {
  MOTE_TRY(const std::string text, encode(request));
  MOTE_TRY(const UniqueFd socket, connect_to(request.socket));
  // What was answered before all was read (a body that is too large) is read all the same.
  for (auto rest = std::as_bytes(std::span(text)); !rest.empty(); descriptors = {}) {
    const auto sent = send_some(socket.get(), rest, descriptors);
    if (!sent && !descriptors.empty()) return std::unexpected(sent.error());
    if (!sent || !*sent) break;
    rest = rest.subspan(**sent);
  }
  std::string got;
  std::vector<UniqueFd> came;
  std::array<std::byte, 16384> buffer{};
  while (true) {
    auto read = receive_some(socket.get(), buffer);
    if (!read || !*read || (*read)->bytes == 0) return decode(got);
    for (UniqueFd& descriptor : (*read)->descriptors) came.push_back(std::move(descriptor));
    got.append(reinterpret_cast<const char*>(buffer.data()), (*read)->bytes);
    MOTE_TRY(auto answer, try_decode(got));
    if (answer) {
      answer->descriptors = std::move(came);
      return std::move(*answer);
    }
    if (got.size() > kMaxAnswer + buffer.size())
      return fail(ErrorKind::kIo, "the answer has no end");
  }
}

}  // namespace mote::engine
