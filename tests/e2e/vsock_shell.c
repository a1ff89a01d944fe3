// Runs a shell for each connection to port 52 of the guest's vsock, with the connection as its
// input and output: what a host says is a script, what comes back its output, to the end.
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

int main(void) {
  const struct sockaddr_vm here = {
      .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = 52};
  const int listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (const struct sockaddr*)&here, sizeof here) < 0 || listen(listener, 16) < 0) {
    perror("vsock_shell");
    return 1;
  }
  signal(SIGCHLD, SIG_IGN);
  printf("shell=ready\n");
  fflush(stdout);
  while (1) {
    const int client = accept(listener, NULL, NULL);
    if (client >= 0 && fork() == 0) {
      signal(SIGCHLD, SIG_DFL);
      dup2(client, 0);
      dup2(client, 1);
      dup2(client, 2);
      close(client);
      execl("/bin/sh", "sh", (char*)NULL);
      _exit(127);
    }
    close(client);
  }
}
