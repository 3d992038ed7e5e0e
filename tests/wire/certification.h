/*
 * The interface that foreign varlink clients are certified against; only a test's broker has it.
 */
#ifndef CERTIFICATION_H
#define CERTIFICATION_H

#include "daemon/dispatch.h"

extern const struct interface interface_certification;
extern const char certification_text[]; /* the .varlink file */

#endif
