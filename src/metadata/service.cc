#include "metadata/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "metadata/link.h"
#include "metadata/lookup.h"

namespace mote::metadata {
namespace {

constexpr std::string_view kTokenPath = "/latest/api/token";

HttpResponse text(unsigned status, std::string body) {
  return {.status = status, .body = std::move(body)};
}

// Whether two paths are one when slashes in a row, and one at the end, make no difference.
bool same_path(std::string_view path, std::string_view clean) {
  std::string squeezed;
  for (const char c : path) {
    if (c != '/' || !squeezed.ends_with('/')) squeezed += c;
  }
  if (squeezed.size() > 1 && squeezed.ends_with('/')) squeezed.pop_back();
  return squeezed == clean;
}

// The number of seconds that `text` is: digits alone.
std::optional<std::uint32_t> seconds_of(std::string_view text) {
  std::uint32_t seconds = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seconds);
  if (error != std::errc() || stop != end) return std::nullopt;
  return seconds;
}

}  // namespace

Service::Service(const MmdsConfig& config, const Store& store, MmdsMetrics& metrics,
                 Tokens::Clock clock)
    : config_(config), store_(store), metrics_(metrics), tokens_(std::move(clock)) {}

Result<std::unique_ptr<Service>> Service::restore(const ServiceState& state, const Store& store,
                                                  MmdsMetrics& metrics) {
  MOTE_CHECK_WITHIN(check(state.config), "the state of the metadata service");
  return std::make_unique<Service>(state.config, store, metrics);
}

std::unique_ptr<network::Link> Service::in_front_of(std::string_view interface,
                                                    std::unique_ptr<network::Link> link) {
  const auto& ours = config_.network_interfaces;
  if (std::ranges::find(ours, interface) == ours.end()) return link;
  return std::make_unique<MetadataLink>(*this, std::move(link));
}

Service::Turn Service::serve(std::string_view bytes) {
  const ParsedRequest parsed = parse_request(bytes);
  if (parsed.taken == 0) return {};
  ++metrics_.rx_count;
  const bool close = parsed.refusal || !parsed.request.keep_alive;
  const HttpResponse response = parsed.refusal ? *parsed.refusal : respond(parsed.request);
  return {.taken = parsed.taken,
          .response = render(response, parsed.request.method, close),
          .close = close};
}

HttpResponse Service::respond(const HttpRequest& request) {
  static constexpr std::array kKnown{"DELETE",  "PATCH", "POST",   "HEAD",
                                     "OPTIONS", "TRACE", "CONNECT"};
  if (request.method == "GET" || request.method == "PUT") {
    if (!request.path.starts_with('/')) {
      return text(400, "The path must begin with a slash.");
    }
    return request.method == "GET" ? give_data(request) : give_token(request);
  }
  if (std::ranges::find(kKnown, request.method) == kKnown.end()) {
    return text(501, "The method is not known; it must be GET or PUT.");
  }
  HttpResponse response = text(405, "The method is not allowed; it must be GET or PUT.");
  response.header = "Allow: GET, PUT";
  return response;
}

// With version 1 as well, so that clients can change over before the version does.
HttpResponse Service::give_token(const HttpRequest& request) {
  // A proxy that forwards to here what others ask it is to get no token (as IMDSv2).
  if (request.forwarded) return text(400, "X-Forwarded-For is given; a token is for the asker.");
  if (!same_path(request.path, kTokenPath)) {
    return text(404, fmt::format("There is nothing to PUT but {}.", kTokenPath));
  }
  if (!request.token_life) {
    return text(400, "X-metadata-token-ttl-seconds is missing: how long the token is to be good.");
  }
  const auto seconds = seconds_of(*request.token_life);
  if (!seconds || *seconds < kShortestTokenLife || *seconds > kLongestTokenLife) {
    return text(400, fmt::format("X-metadata-token-ttl-seconds must be a number from {} to {}.",
                                 kShortestTokenLife, kLongestTokenLife));
  }
  Result<std::string> token = tokens_.issue(*seconds);
  if (!token) return text(501, "No token can be made.");
  HttpResponse response = text(200, std::move(*token));
  response.header = fmt::format("{}: {}",
                                request.token_life_is_aws ? "X-aws-ec2-metadata-token-ttl-seconds"
                                                          : "X-metadata-token-ttl-seconds",
                                *seconds);
  return response;
}

HttpResponse Service::give_data(const HttpRequest& request) {
  const bool good = request.token && tokens_.good(*request.token);
  // Version 1 counts them as well: whoever looks sees whether all clients are ready for version 2.
  if (!request.token) {
    ++metrics_.rx_no_token;
  } else if (!good) {
    ++metrics_.rx_invalid_token;
  }
  if (config_.version == Version::V2 && !good) {
    return text(401, request.token ? "The token is none of this service's, or its time is over."
                                   : fmt::format("X-metadata-token is missing; PUT {} gives one.",
                                                 kTokenPath));
  }
  const bool json = request.wants_json && !config_.imds_compat;
  auto found = look_up(store_.data(), request.path, json ? Form::kJson : Form::kText);
  if (found) return {.status = 200, .body = std::move(*found), .json = json};
  return text(found.error().kind() == ErrorKind::kNotFound ? 404 : 501,
              std::string(found.error().message()) + ".");
}

}  // namespace mote::metadata
