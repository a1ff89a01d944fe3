/* Ends with status 42 through the exit port. A machine without the port must ignore the write and see the reset. */
#include "pvh.inc"
    .text
main:
    exit_with 42
