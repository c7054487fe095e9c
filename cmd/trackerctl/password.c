/* password: a line for lobby.passwords_file. The password itself is never shown or kept. */
#include "auth/password.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ctl.h"

#define PASSWORD_MAX 256 /* as the lobby accepts them */

/* A line of standard input, without its end; false when there is none, or it is too long. */
static bool read_terminal_line(char line[PASSWORD_MAX + 2])
{
    size_t len;
    if (!fgets(line, PASSWORD_MAX + 2, stdin)) {
        return false;
    }
    len = strcspn(line, "\r\n");
    if (len > PASSWORD_MAX) {
        return false;
    }
    line[len] = 0;
    return true;
}

static bool prompt_password(const char *question, char line[PASSWORD_MAX + 2])
{
    fputs(question, stderr);
    bool read = read_terminal_line(line);
    fputc('\n', stderr);
    return read;
}

/* Without an echo, and twice, against typing errors. */
static bool read_from_terminal(char password[PASSWORD_MAX + 2])
{
    struct termios before, silent;
    char again[PASSWORD_MAX + 2] = "";
    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        return false;
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    bool read = prompt_password("Password: ", password) && prompt_password("Again: ", again);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    if (read && strcmp(password, again) != 0) {
        ctl_complain("the passwords differ");
        read = false;
    }
    sodium_memzero(again, sizeof again);
    return read;
}

static enum ctl_exit print_password_line(struct bytes name, struct bytes password)
{
    struct writer line = {0};
    if (password.len == 0) {
        ctl_complain("the password is empty");
        return CTL_NO;
    }
    password_write_line(&line, name, password);
    fwrite(line.data, 1, line.len, stdout);
    writer_free(&line);
    return CTL_OK;
}

enum ctl_exit command_password(struct ctl *ctl, int count, char **arguments)
{
    struct bytes name = bytes_from_string(arguments[0]);
    char password[PASSWORD_MAX + 2] = "";
    enum ctl_exit result = CTL_NO;
    if (!password_is_name(name)) {
        ctl_complain("a name has 1 to 64 characters of A-Z a-z 0-9 . _ -");
        return CTL_USAGE;
    }
    if (isatty(STDIN_FILENO) ? read_from_terminal(password) : read_terminal_line(password)) {
        result = print_password_line(name, bytes_from_string(password));
    } else {
        ctl_complain("no password of at most %d bytes was given", PASSWORD_MAX);
    }
    sodium_memzero(password, sizeof password);
    return result;
}
