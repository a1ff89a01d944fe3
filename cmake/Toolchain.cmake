# Compiler and linker flags for every target. One place, so that a program's hardening can be read here.

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "mote is built with clang 19 or newer; found ${CMAKE_CXX_COMPILER_ID} "
                      "${CMAKE_CXX_COMPILER_VERSION}. Use a preset: cmake --preset release")
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

add_compile_options(
  -Wall -Wextra -Wshadow -Wimplicit-fallthrough -Wnon-virtual-dtor
  "$<$<COMPILE_LANGUAGE:CXX>:-Wthread-safety;-Werror=thread-safety;-Werror=unused-result>"
  -fno-strict-aliasing
  -fstack-protector-strong
  -ftrivial-auto-var-init=zero)
add_compile_definitions(_GNU_SOURCE FMT_STATIC_THOUSANDS_SEPARATOR=',')
add_link_options(-fuse-ld=lld -Wl,-z,relro,-z,now,-z,noexecstack)

if(MOTE_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()

if(MOTE_FUZZ)
  # The targets link libFuzzer's main; everything else is only instrumented for it.
  add_compile_options(-O1 -gline-tables-only -fsanitize=fuzzer-no-link)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  string(REPLACE "-O3" "-Os" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
  # No type is asked for its name (RTTI): what would tell it is pages that each launch writes addresses into.
  add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-flto=thin;-ffunction-sections;-fdata-sections>"
                      "$<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>" -D_FORTIFY_SOURCE=3 -g0)
  if(MOTE_CFI)
    set(cfi -fsanitize=cfi-vcall,cfi-icall,cfi-nvcall)
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:${cfi}>)
    add_link_options(${cfi})
  endif()
  # What an edit leaves as it was is not compiled again at the next link.
  add_link_options(-flto=thin -Wl,--thinlto-cache-dir=${CMAKE_BINARY_DIR}/lto-cache -Wl,--gc-sections -Wl,--icf=all -Wl,-O2)
  # A launch reads as little of the program as can be: relocations are packed, what leads to errors (gnu::cold) lies
  # apart, and the file is mapped on 64 KiB, which is how much around a page the kernel maps at once. The linker writes the
  # file in one go, not page by page through a mapping: what it leaves in the page cache is mapped in larger pieces.
  add_link_options(-Wl,-z,pack-relative-relocs -Wl,-mllvm,-hot-cold-split=true -Wl,-z,max-page-size=65536 -Wl,--no-mmap-output-file)
endif()
