// What the process ends with. A guest's exit port may give any other status.
#pragma once

namespace mote::vmm {

inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitSentSystemCall = 2;  // SIGSYS that somebody sent
inline constexpr int kExitBadSystemCall = 148;
inline constexpr int kExitBus = 149;
inline constexpr int kExitSegmentation = 150;
inline constexpr int kExitFileSize = 151;
inline constexpr int kExitBadConfiguration = 152;
inline constexpr int kExitBadArguments = 153;
inline constexpr int kExitCpuTime = 154;
inline constexpr int kExitHangUp = 156;
inline constexpr int kExitIllegalInstruction = 157;

}  // namespace mote::vmm
