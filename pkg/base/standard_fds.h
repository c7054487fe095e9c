/* standard_fds: the descriptors 0, 1 and 2 of a program that was started without them. */
#ifndef BASE_STANDARD_FDS_H
#define BASE_STANDARD_FDS_H

/* Opens those that are closed, so that no file or socket gets their numbers, to which logs and
 * output would go. They stay useless: reading the first and writing to the others fails, as it does
 * with closed ones. To be called before anything else is opened. Exits when it is not possible. */
void standard_fds_open(void);

#endif
