// What each request is for, in a line: for the documentation. One that is missing fails a test.
#pragma once

#include <array>
#include <string_view>

namespace mote::api::firecracker::test {

struct Summary {
  std::string_view request;
  std::string_view text;
};

inline constexpr std::array kSummaries{
    Summary{"GET /", "What the process is, and how far its microVM: not started, running, paused."},
    Summary{"GET /version", "The version of Firecracker whose behaviour this is, and mote's own."},
    Summary{"PUT /actions",
            "Starts the microVM; presses Ctrl-Alt-Del on its keyboard; writes a line of metrics."},
    Summary{"PUT /boot-source", "The kernel, its command line and an initrd. Before the start."},
    Summary{"GET /machine-config", "Processors and memory."},
    Summary{"PUT /machine-config",
            "Sets them all; what is left out has its default. Before the "
            "start."},
    Summary{"PATCH /machine-config", "Sets some of them. Before the start."},
    Summary{"PUT /cpu-config", "A CPU template of one's own. Before the start."},
    Summary{"PUT /drives/{drive_id}", "Adds a disk, or replaces one of that id. Before the start."},
    Summary{"PATCH /drives/{drive_id}",
            "Puts another file in the disk's place, or the same of another size; sets limits. "
            "After the start."},
    Summary{"DELETE /drives/{drive_id}",
            "Refused: it takes the PCI transport, which is not built."},
    Summary{"PUT /network-interfaces/{iface_id}",
            "Adds an interface, or replaces one of that id; its tap is open from now on. Before "
            "the start."},
    Summary{"PATCH /network-interfaces/{iface_id}", "Sets limits. After the start."},
    Summary{"DELETE /network-interfaces/{iface_id}", "Refused, as of a drive."},
    Summary{"PUT /pmem/{id}",
            "Adds persistent memory, or replaces one of that id. Before the "
            "start."},
    Summary{"PATCH /pmem/{id}", "Sets limits. After the start."},
    Summary{"DELETE /pmem/{id}", "Refused, as of a drive."},
    Summary{"PUT /vsock", "The vsock device. Before the start."},
    Summary{"PUT /entropy", "The entropy device. Before the start."},
    Summary{"GET /balloon", "The balloon as it was asked for."},
    Summary{"PUT /balloon", "The balloon. Before the start."},
    Summary{"PATCH /balloon", "Has the guest bring it to another size. After the start."},
    Summary{"GET /balloon/statistics",
            "What the guest said of its memory last; what it has not "
            "said is left out."},
    Summary{"PATCH /balloon/statistics", "Another period, where there was one at the start."},
    Summary{"PATCH /balloon/hinting/start", "Has the guest tell which pages are free."},
    Summary{"GET /balloon/hinting/status", "How far it is with that."},
    Summary{"PATCH /balloon/hinting/stop", "Lets it use those pages again."},
    Summary{"GET /hotplug/memory", "How much memory is plugged in. After the start."},
    Summary{"PUT /hotplug/memory", "Memory that can be plugged in later. Before the start."},
    Summary{"PATCH /hotplug/memory", "Has the guest plug so much. After the start."},
    Summary{"PUT /serial", "Where the output of the first serial port goes. Before the start."},
    Summary{"PUT /logger", "The log. Before the start."},
    Summary{"PUT /metrics", "The file of metrics. Before the start."},
    Summary{"GET /vm/metrics", "Mote's own: every counter as it stands."},
    Summary{"GET /mmds", "The data of the metadata service."},
    Summary{"PUT /mmds", "Replaces it: any JSON."},
    Summary{"PATCH /mmds", "Merges into it (RFC 7396)."},
    Summary{"PUT /mmds/config", "Where the guest finds the metadata service. Before the start."},
    Summary{"PATCH /vm", "Pauses the microVM, or lets it go on. After the start."},
    Summary{"GET /vm/config", "The whole configuration, with what has changed since the start."},
    Summary{"PUT /snapshot/create", "Writes a paused microVM into two files. After the start."},
    Summary{"PUT /fork",
            "Shares a microVM's memory and state with others, which go on from there as "
            "it does itself. After the start."},
    Summary{"PUT /snapshot/load", "Makes the microVM of a snapshot. In place of the start."},
    Summary{"PUT /console", "Mote's own: a virtio console. Before the start."},
};

constexpr std::string_view summary_of(std::string_view request) {
  for (const Summary& summary : kSummaries) {
    if (summary.request == request) return summary.text;
  }
  return {};
}

}  // namespace mote::api::firecracker::test
