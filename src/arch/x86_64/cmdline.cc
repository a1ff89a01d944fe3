#include "arch/x86_64/cmdline.h"

#include <algorithm>

#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

constexpr std::string_view kInitMark = " -- ";

// Where " -- " stands in `text`, outside of double quotes, as the kernel splits its arguments; npos
// where it does not.
std::size_t find_init_mark(std::string_view text) {
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') quoted = !quoted;
    if (!quoted && text.substr(at).starts_with(kInitMark)) return at;
  }
  return std::string_view::npos;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

Result<void> check_characters(std::string_view text) {
  const auto wrong =
      std::ranges::find_if(text, [](char character) { return character < ' ' || character > '~'; });
  if (wrong == text.end()) return {};
  return fail(ErrorKind::kInvalid,
              "the kernel command line has the byte {:#04x} at position {}; it may hold printable "
              "ASCII only",
              static_cast<unsigned char>(*wrong), wrong - text.begin());
}

// Sizes in virtio_mmio.device= are written with a suffix where they are whole multiples.
std::string size_text(std::uint64_t size) {
  return size % 1024 == 0 ? fmt::format("{}K", size / 1024) : fmt::format("{}", size);
}

}  // namespace

Result<Cmdline> Cmdline::parse(std::string_view text) {
  MOTE_CHECK(check_characters(text));
  Cmdline line;
  // With a space at both ends, a mark is found there too.
  const std::string padded = fmt::format(" {} ", text);
  const std::string_view view = padded;
  const std::size_t mark = find_init_mark(view);
  line.kernel_ = trim(view.substr(0, mark));
  if (mark != std::string_view::npos) line.init_ = trim(view.substr(mark + kInitMark.size()));
  MOTE_CHECK(line.check());
  return line;
}

Result<void> Cmdline::add(std::string_view argument) {
  MOTE_CHECK(check_characters(argument));
  if (!kernel_.empty()) kernel_ += ' ';
  kernel_ += argument;
  return check();
}

Result<void> Cmdline::add_root(std::string_view partuuid, bool read_only) {
  if (partuuid.find_first_of(" \"") != std::string_view::npos) {
    return fail(ErrorKind::kInvalid,
                "the partuuid '{}' has a space or a quotation mark in it, which would make other "
                "arguments of it",
                partuuid);
  }
  const std::string_view mode = read_only ? "ro" : "rw";
  return add(partuuid.empty() ? fmt::format("root=/dev/vda {}", mode)
                              : fmt::format("root=PARTUUID={} {}", partuuid, mode));
}

Result<void> Cmdline::add_virtio_mmio(std::uint64_t size, std::uint64_t base, std::uint32_t gsi) {
  return add(fmt::format("virtio_mmio.device={}@{:#x}:{}", size_text(size), base, gsi));
}

std::string Cmdline::text() const {
  if (init_.empty()) return kernel_;
  return kernel_.empty() ? fmt::format("-- {}", init_) : fmt::format("{} -- {}", kernel_, init_);
}

Result<void> Cmdline::check() const {
  const std::size_t length = text().size();
  if (length < layout::kCmdlineMaxSize) return {};
  return fail(ErrorKind::kInvalid,
              "the kernel command line is {} bytes long with what the machine adds; at most {} fit",
              length, layout::kCmdlineMaxSize - 1);
}

}  // namespace mote::arch
