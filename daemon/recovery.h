/*
 * Recovery: what an earlier broker left with the manager becomes this broker's, before anybody is
 * served: its state, the segments and what is in them, who holds what. Repairs that were under way
 * go on, and who died meanwhile is found by the loop like any other death.
 */
#ifndef SHMBROKER_RECOVERY_H
#define SHMBROKER_RECOVERY_H

struct broker;

/*
 * 0, also when nothing was left or nobody keeps anything. -EPROTONOSUPPORT, with the reason logged:
 * it was left by a broker of another version, and stays as it is; another -errno, logged, too. After a
 * failure the broker cannot be closed any more, and nothing is changed: the process has to end.
 */
int recovery_run(struct broker *broker);

#endif
