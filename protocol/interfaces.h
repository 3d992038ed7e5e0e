/*
 * The interface files, word for word, for org.varlink.service.GetInterfaceDescription.
 */
#ifndef SHMP_INTERFACES_H
#define SHMP_INTERFACES_H

extern const char shmp_interface_client[];  /* org.shmbroker.varlink */
extern const char shmp_interface_control[]; /* org.shmbroker.control.varlink */

#endif
