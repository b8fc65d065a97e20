/* tests/probe/early_locale.c
 *
 * A library whose constructor allocates for the first time in its process inside newlocale(), that is with the C
 * library's lock on locales held, as libp11-kit's does. Preloaded behind the probe it comes before the probe's start.
 */
#define _GNU_SOURCE
#include <libintl.h>
#include <locale.h>
#include <stdio.h>

__attribute__((constructor)) static void start(void) {
  newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  gettext("anything");
  printf("locale %d\n", setlocale(LC_ALL, "C.UTF-8") != NULL);
}
