#include "metadata/store.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "base/heap.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace mote::metadata {
namespace {

// As Firecracker has it.
constexpr std::size_t kMostDepth = 127;
// The longest file that is read at all: white space may make it longer than its data.
constexpr std::size_t kMostFile = std::size_t{64} << 20;

using Object = json::Value::Object;

// Where `name` is, or belongs.
template <typename O>
auto place_of(O& object, std::string_view name) {
  return std::ranges::lower_bound(
      object, name, {}, [](const auto& member) -> std::string_view { return member.name; });
}

// RFC 7396, section 2.
void merge(json::Value& target, json::Value patch) {
  auto* changes = std::get_if<Object>(&patch.data);
  if (changes == nullptr) {
    target = std::move(patch);
    return;
  }
  if (target.as<Object>() == nullptr) target.data = Object();
  auto& object = std::get<Object>(target.data);
  for (json::Member& change : *changes) {
    auto place = place_of(object, change.name);
    const bool there = place != object.end() && place->name == change.name;
    if (change.value.is_null()) {
      if (there) object.erase(place);
      continue;
    }
    if (!there) place = object.insert(place, {std::move(change.name), {nullptr}});
    merge(place->value, std::move(change.value));
  }
}

Result<json::Value> parse(std::string_view text) {
  return json::parse(text, json::Path("the metadata"),
                     {.bytes = text.size(), .depth = kMostDepth, .last_of_a_name_counts = true});
}

// The data may be secrets. Where they cannot be kept off a swap partition they are taken all the
// same.
void keep_in_memory() {
  static bool told = false;
  if (const auto locked = lock_heap(); !locked && !std::exchange(told, true)) {
    log::warning("The metadata may be swapped out: {}", locked.error().text());
  }
}

}  // namespace

Result<void> Store::take(json::Value data) {
  const std::size_t size = json_text(data).size();
  if (size > size_limit_) {
    return fail(ErrorKind::kTooLarge,
                "the metadata would have {} bytes; it must have {} or fewer (--mmds-size-limit)",
                size, size_limit_);
  }
  data_ = std::move(data);
  given_ = true;
  keep_in_memory();
  return {};
}

Result<void> Store::put(std::string_view text) {
  MOTE_TRY(json::Value data, parse(text));
  return take(std::move(data));
}

Result<void> Store::patch(std::string_view text) {
  MOTE_TRY(json::Value changes, parse(text));
  if (!given_) {
    return fail(ErrorKind::kState, "there is no metadata to change yet; PUT it first");
  }
  json::Value data = data_;
  merge(data, std::move(changes));
  return take(std::move(data));
}

Result<void> Store::put_file(const std::string& path) {
  const auto put_it = [&]() -> Result<void> {
    MOTE_TRY(const UniqueFd fd, open_file(path, O_RDONLY));
    MOTE_TRY(const std::string text, read_all(fd.get(), kMostFile));
    return put(text);
  };
  MOTE_CHECK_WITHIN(put_it(), "metadata file {}", json::quote(path));
  return {};
}

std::string Store::text() const { return data_.is_null() ? "{}" : json_text(data_); }

const json::Value* find_member(const Object& object, std::string_view name) {
  const auto place = place_of(object, name);
  return place != object.end() && place->name == name ? &place->value : nullptr;
}

std::string json_text(const json::Value& value) {
  json::Writer writer;
  writer.value(value);
  return std::move(writer).take();
}

}  // namespace mote::metadata
