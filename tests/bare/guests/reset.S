/* Says a line and pulls the keyboard controller's reset line; halts where that does nothing. */
#include "pvh.inc"
    .text
main:
    say "resetting\n"
    reset
