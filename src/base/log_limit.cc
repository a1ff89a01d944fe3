#include "base/log_limit.h"

#include <algorithm>
#include <span>
#include <utility>

namespace mote::log {

CallSites::Site& CallSites::find(const Place& place, std::chrono::nanoseconds now) {
  const auto known = std::span(sites_).first(used_);
  const auto found = std::ranges::find(known, place, &Site::place);
  if (found != known.end()) return *found;
  Site& free =
      used_ < sites_.size() ? sites_[used_++] : *std::ranges::min_element(known, {}, &Site::since);
  free = {.place = place, .since = now};
  return free;
}

CallSites::Verdict CallSites::admit(const Place& place, std::chrono::nanoseconds now) {
  Site& site = find(place, now);
  if (now - site.since >= kWindow) {
    site.since = now;
    site.lines = 0;
  }
  if (site.lines == kLines) {
    ++site.left_out;
    return {.admitted = false};
  }
  ++site.lines;
  return {.admitted = true, .left_out = std::exchange(site.left_out, 0)};
}

}  // namespace mote::log
