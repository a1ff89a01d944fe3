// One request to a monitor's API socket, for `mote api`.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::engine {

struct ApiRequest {
  std::string socket;  // the path of the monitor's socket
  std::string method;  // such as GET
  std::string path;    // such as /vm/config
  std::string body;    // JSON; empty: none
};

struct ApiAnswer {
  int status = 0;
  std::string body;
  std::vector<UniqueFd> descriptors = {};  // that came beside it
};

// The most that an answer may have, with its head: one of the metadata service is as large as the
// monitor's limits allow.
inline constexpr std::size_t kMaxAnswer = std::size_t{64} << 20;

// The bytes of a request. Errors: a method or path with characters that would end it.
Result<std::string> encode(const ApiRequest& request);
// The answer at the beginning of `bytes`, interim ones (100) apart. An error: it is none, or cut.
Result<ApiAnswer> decode(std::string_view bytes);

// Whether it is short enough to be a socket's.
Result<void> check_socket_path(const std::string& path);
// Whether it is a socket that its process has left. Where that cannot be told, it is not.
bool is_deserted(const std::string& socket);

// Asks, and waits for the answer for as long as the monitor takes. Errors: nobody listens at the
// socket, or what answers is no API.
// `descriptors` (at most kMaxPassed) go beside the request.
Result<ApiAnswer> ask(const ApiRequest& request, std::span<const UniqueFd> descriptors = {});

}  // namespace mote::engine
