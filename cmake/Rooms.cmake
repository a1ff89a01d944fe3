# A room of the source tree is one static library, mote_<room>. It may include what it names in DEPS, and nothing
# else links: a wrong arrow is a link error, and scripts/check-arrows finds one that only includes a header.

# mote_room(NAME [FAST] SOURCES file... [SELDOM file...] [DEPS room_or_library...]). FAST: a release build optimises it for
# speed, not for size, as a guest's data passes through it; but for the files that SELDOM names, which are through
# when a device is set up, or work at no guest's pace.
function(mote_room name)
  cmake_parse_arguments(ROOM "FAST" "" "SOURCES;SELDOM;DEPS" ${ARGN})
  add_library(mote_${name} STATIC ${ROOM_SOURCES} ${ROOM_SELDOM})
  if(ROOM_FAST AND CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(mote_${name} PRIVATE -O2)
    set_source_files_properties(${ROOM_SELDOM} PROPERTIES COMPILE_OPTIONS -Os)
  endif()
  target_include_directories(mote_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(mote_${name} PUBLIC ${ROOM_DEPS})
endfunction()

# mote_program(NAME SOURCES file... [DEPS library...] [ORDER file]): a program in bin/, static in release builds so that it
# runs in an empty chroot. Sanitizers cannot be linked statically. ORDER is a list of functions that a release build lays side
# by side (scripts/startup-order).
function(mote_program name)
  cmake_parse_arguments(PROGRAM "" "ORDER" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${PROGRAM_SOURCES})
  target_link_libraries(${name} PRIVATE ${PROGRAM_DEPS})
  if(NOT MOTE_SANITIZE)
    target_link_options(${name} PRIVATE -static-pie)
    if(MOTE_LEAN_START)
      target_link_libraries(${name} PRIVATE mote_start)
    endif()
  endif()
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_link_options(${name} PRIVATE -Wl,--strip-all)
    if(PROGRAM_ORDER)
      set(order ${CMAKE_CURRENT_SOURCE_DIR}/${PROGRAM_ORDER})
      target_link_options(${name} PRIVATE -Wl,--symbol-ordering-file=${order} -Wl,--no-warn-symbol-ordering)
      set_target_properties(${name} PROPERTIES LINK_DEPENDS ${order})
    endif()
  endif()
endfunction()

# mote_unit_test(NAME SOURCES file... DEPS library...): a GoogleTest program; each TEST is a ctest case with label unit.
function(mote_unit_test name)
  cmake_parse_arguments(UNIT "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${UNIT_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests/unit)
  target_link_libraries(${name} PRIVATE ${UNIT_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit)
endfunction()
