# Whether static programs start by src/programs/start.c, which stands in the place of glibc's own start: only for x86-64, without
# sanitizers, and with a glibc of which that file knows all that its start needs.

set(MOTE_LEAN_START OFF)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND NOT MOTE_SANITIZE)
  # What libc-start.o of glibc 2.36 refers to elsewhere. Another list is another start.
  set(known
    _GLOBAL_OFFSET_TABLE_ __assert_fail __cxa_atexit __environ __fini_array_end __fini_array_start __init_array_end __init_array_start
    __libc_check_standard_fds __libc_early_init __libc_enable_secure __libc_fatal __libc_init_first __libc_setup_tls __libc_stack_end
    __nptl_deallocate_tsd __nptl_nthreads __preinit_array_end __preinit_array_start __pthread_initialize_minimal __rela_iplt_end
    __rela_iplt_start __tunable_get_val __tunable_set_val __tunables_init _dl_aux_init _dl_debug_initialize _dl_hwcap
    _dl_minsigstacksize _dl_platform _dl_random _dl_relocate_static_pie _dl_tunable_set_hwcaps _dl_x86_cpu_features _fini _init
    _setjmp exit)
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=libc.a OUTPUT_VARIABLE libc OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(object ${CMAKE_BINARY_DIR}/libc-start.o)
  execute_process(COMMAND ${CMAKE_AR} p ${libc} libc-start.o OUTPUT_FILE ${object} ERROR_QUIET)
  execute_process(COMMAND ${CMAKE_NM} --undefined-only --format=just-symbols ${object}
                  OUTPUT_VARIABLE found ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REPLACE "\n" ";" found "${found}")
  list(SORT found)
  list(SORT known)
  if(found STREQUAL known)
    set(MOTE_LEAN_START ON)
  else()
    message(STATUS "glibc's start is another than src/programs/start.c was written beside, so it starts the programs itself")
  endif()
endif()
