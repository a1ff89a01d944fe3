#include "api/firecracker/routes.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "api/firecracker/endpoints.h"
#include "base/json.h"
#include "base/json_describe.h"

namespace mote::api::firecracker {
namespace {

// Paths
// ------------------------------------------------------------------------------------------------

using Segments = std::vector<std::string_view>;

// No path of ours has more; further slashes stay in the last.
constexpr std::size_t kMostSegments = 4;

// The path of a request target: in origin form, or in absolute form as a client of a proxy has it.
std::string_view path_of(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target == "*") return "/";
  if (!target.starts_with(kScheme)) return target;
  target.remove_prefix(kScheme.size());
  const auto slash = target.find('/');
  return slash == std::string_view::npos ? "/" : target.substr(slash);
}

// Slashes before the first segment and one behind the last mean nothing, as Firecracker has it.
Segments segments_of(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  Segments segments;
  while (!path.empty()) {
    const auto slash = segments.size() + 1 < kMostSegments ? path.find('/') : path.npos;
    segments.push_back(path.substr(0, slash));
    if (slash == path.npos) break;
    path.remove_prefix(slash + 1);
    if (path.empty()) segments.emplace_back();
  }
  return segments;
}

// Whether `path` is `pattern`'s; the segment that stands for the id goes to `id`.
bool matches(const Segments& path, std::string_view pattern, std::string_view& id) {
  const Segments wanted = segments_of(pattern);
  if (wanted.size() != path.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].starts_with('{')) {
      id = path[i];
    } else if (wanted[i] != path[i]) {
      return false;
    }
  }
  return true;
}

// What an id is called in messages: "drive_id".
std::string_view name_of_id(std::string_view pattern) {
  const auto brace = pattern.find('{');
  return pattern.substr(brace + 1, pattern.size() - brace - 2);
}

Result<void> check_id(std::string_view name, std::string_view id) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (!id.empty() && std::ranges::all_of(id, allowed)) return {};
  return fail(ErrorKind::kInvalid,
              "{} in the path is {}; it must be letters (of ASCII), digits and underscores", name,
              json::quote(id));
}

// Bodies
// ------------------------------------------------------------------------------------------------

template <typename Body>
bool deprecated(const Body&) {
  return false;
}
// Firecracker's x86-64 build does not know V1N1, so it is refused before it counts as deprecated.
bool deprecated(const std::optional<machine::CpuTemplate>& cpu_template) {
  return cpu_template && *cpu_template != machine::CpuTemplate::V1N1;
}
bool deprecated(const machine::MachineConfig& body) { return deprecated(body.cpu_template); }
bool deprecated(const MachineUpdate& body) { return deprecated(body.cpu_template); }
bool deprecated(const virtio::VsockConfig& body) { return body.vsock_id.has_value(); }
bool deprecated(const SnapshotLoad& body) {
  return body.enable_diff_snapshots || (body.mem_file_path && !body.mem_backend);
}
bool deprecated(const metadata::MmdsConfig& body) {
  return body.version == metadata::Version::V1 && metadata::parse_ipv4(body.ipv4_address);
}

// Where the time that a request takes is noted; null: nowhere.
template <typename Body>
Gauge RequestLatencies::* latency_of(const Body&) {
  return nullptr;
}
Gauge RequestLatencies::* latency_of(const VmUpdate& body) {
  return body.state == WantedState::Paused ? &RequestLatencies::pause_vm
                                           : &RequestLatencies::resume_vm;
}
Gauge RequestLatencies::* latency_of(const SnapshotCreate& body) {
  return body.snapshot_type == SnapshotType::Full ? &RequestLatencies::full_create_snapshot
                                                  : &RequestLatencies::diff_create_snapshot;
}
Gauge RequestLatencies::* latency_of(const SnapshotLoad&) {
  return &RequestLatencies::load_snapshot;
}

template <typename Body>
Result<Body> read_body(std::string_view text) {
  if constexpr (std::is_same_v<Body, JsonText>) {
    return JsonText{std::string(text)};
  } else {
    if (text.empty()) return fail(ErrorKind::kInvalid, "the body is empty; it must be JSON");
    // The server has limited it.
    return json::read<Body>(text, json::Path("the body"), {.bytes = text.size()});
  }
}

// From the type of a function of the Controller to how it is called
// ------------------------------------------------------------------------------------------------

// A body or an answer with descriptors beside it.
template <typename T>
concept HasDescriptors = requires(T value) { value.descriptors; };

template <typename Answer>
Result<Reply> reply_of(Result<Answer> answer) {
  if (!answer) return std::unexpected(std::move(answer.error()));
  if constexpr (std::is_void_v<Answer>) {
    return Reply{};
  } else if constexpr (std::is_same_v<Answer, JsonText>) {
    return Reply{.text = std::move(answer->text)};
  } else if constexpr (HasDescriptors<Answer>) {
    return Reply{.text = json::write(*answer), .descriptors = std::move(answer->descriptors)};
  } else {
    return Reply{.text = json::write(*answer)};
  }
}

// Reads what the endpoint `kIndex` of the table takes; of `request`, whose id it was given, that is
// its body and its descriptors.
template <std::size_t kIndex>
Result<Understood> read_request(std::string_view id, http::Request& request) {
  const std::string& text = request.body;
  using E = std::tuple_element_t<kIndex, std::remove_cv_t<decltype(kEndpoints)>>;
  constexpr const E& kEndpoint = std::get<kIndex>(kEndpoints);
  using Of = Signature<std::remove_cv_t<decltype(E::kFunction)>>;
  if constexpr (kRemoves<E>) {
    if (!text.empty()) return fail(ErrorKind::kInvalid, "DELETE has no body");
    return Understood{.call = [id = std::string(id)](Controller& controller) {
      return reply_of((controller.*E::kFunction)(id));
    }};
  } else if constexpr (std::tuple_size_v<typename Of::Bodies> == 0) {
    if (kEndpoint.method == "GET" && !text.empty()) {
      return fail(ErrorKind::kInvalid, "GET has no body");
    }
    return Understood{
        .call = [](Controller& controller) { return reply_of((controller.*E::kFunction)()); },
        .anywhere = kLooksUp<E>};
  } else {
    using Body = std::tuple_element_t<0, typename Of::Bodies>;
    MOTE_TRY(Body body, read_body<Body>(text.empty() && kEndpoint.body_optional ? "{}" : text));
    if constexpr (kNamed<E>) {
      if (body.*E::kId != id) {
        return fail(ErrorKind::kInvalid, "{} is {} in the path and {} in the body; they must agree",
                    name_of_id(kEndpoint.path), json::quote(id), json::quote(body.*E::kId));
      }
    }
    if constexpr (HasDescriptors<Body>) body.descriptors = std::exchange(request.descriptors, {});
    const bool is_deprecated = deprecated(body);
    const auto latency = latency_of(body);
    return Understood{.call =
                          [body = std::move(body)](Controller& controller) mutable {
                            return reply_of((controller.*E::kFunction)(std::move(body)));
                          },
                      .deprecated = is_deprecated,
                      .latency = latency};
  }
}

struct Row {
  std::string_view method;
  std::string_view path;
  Result<Understood> (*read)(std::string_view id, http::Request& request);
};

template <std::size_t... kIndex>
constexpr auto make_rows(std::index_sequence<kIndex...>) {
  return std::array{Row{.method = std::get<kIndex>(kEndpoints).method,
                        .path = std::get<kIndex>(kEndpoints).path,
                        .read = &read_request<kIndex>}...};
}
constexpr auto kRows =
    make_rows(std::make_index_sequence<std::tuple_size_v<decltype(kEndpoints)>>());

std::string known_methods(const Segments& path) {
  std::string methods;
  std::string_view id;
  for (const Row& row : kRows) {
    if (!matches(path, row.path, id)) continue;
    if (!methods.empty()) methods += ", ";
    methods += row.method;
  }
  return methods;
}

// A snapshot has the machine as it was, and is of one moment: what changes the machine waits.
bool waits_for_a_snapshot(const Row& row) {
  return row.path == "/snapshot/create" || (row.method == "PATCH" && row.path != "/mmds");
}

}  // namespace

Result<Understood> understand(http::Request& request) {
  const Segments path = segments_of(path_of(request.target));
  std::string_view id;
  for (const Row& row : kRows) {
    if (row.method != request.method || !matches(path, row.path, id)) continue;
    if (row.path.ends_with('}')) MOTE_CHECK(check_id(name_of_id(row.path), id));
    auto understood = row.read(id, request);
    if (understood && !request.descriptors.empty()) {
      return fail(ErrorKind::kInvalid, "{} descriptors came with the request, which takes none",
                  request.descriptors.size());
    }
    if (understood) understood->alone = waits_for_a_snapshot(row);
    return understood;
  }
  const std::string methods = known_methods(path);
  if (methods.empty()) {
    return fail(ErrorKind::kInvalid, "there is nothing at {}", json::quote(request.target));
  }
  return fail(ErrorKind::kInvalid, "{} is no method of {}, which has {}",
              json::quote(request.method), json::quote(request.target), methods);
}

http::Response respond(Result<Reply> outcome, bool deprecated) {
  http::Response response{.deprecated = deprecated};
  if (outcome) {
    response.status = outcome->text.empty() ? 204 : 200;
    response.body = std::move(outcome->text);
    response.descriptors = std::move(outcome->descriptors);
    return response;
  }
  response.status = outcome.error().kind() == ErrorKind::kTooLarge ? 413 : 400;
  json::Writer writer;
  writer.begin_object();
  writer.key("fault_message");
  writer.string(outcome.error().text());
  writer.end_object();
  response.body = std::move(writer).take();
  return response;
}

}  // namespace mote::api::firecracker
