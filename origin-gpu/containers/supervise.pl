# Runs a container's command so that nothing of it outlives its end, whatever its processes do.
#
#   perl supervise.pl PRCTL SETSID LIMIT COUNT [STOP…] COMMAND [ARGUMENT…]
#
# PRCTL and SETSID are numbers of system calls here. STOP are the COUNT words of a command that ends what is no process
# of the container, within LIMIT seconds. The agent runs it at a stop, and this program where the agent is gone.
#
# The agent starts this program as a process of its own group, with descriptor 3 to the agent:
#
#   from the agent   signal N   to each process of the command's group, while the command itself runs
#                    kill       ends everything that is left; so does the end of the agent, after STOP
#   to the agent     started PID, failed REASON, exited CODE SIGNAL
#
# The program ends when nothing of the command runs any more, and with code 0 where it has seen that. Two processes
# make it certain. The inner one is the command's parent, and a subreaper: a process that loses its parent becomes the inner
# one's child, also after a double fork, in a session of its own, with another environment and name. The outer one is
# a subreaper too, and takes over when somebody kills the inner one. Both leave the command's group alone, so that
# its signals to itself do not reach them. supervise.py does the same where there is no perl.
use strict;

my ($prctl, $setsid, $limit, $count, @command) = @ARGV;
my @stop = splice @command, 0, $count;

# Linux's include/uapi/linux/prctl.h.
sub PR_SET_PDEATHSIG { 1 }
sub PR_SET_CHILD_SUBREAPER { 36 }
# WNOHANG of waitpid(2), and signals by their numbers, since modules would double the time of a start.
sub WNOHANG { 1 }
sub SIGKILL { 9 }
sub SIGTERM { 15 }
# The exit code of what could not be started for want of resources: EX_OSERR of sysexits.h.
sub NO_RESOURCES { 71 }
# A child's end interrupts the wait for the agent, except in the moment before the wait begins.
sub LONGEST_WAIT_S { 0.5 }
# Between two rounds of killing. A killed process is gone within the first, unless a driver holds it.
sub FIRST_ROUND_S { 0.002 }
sub LAST_ROUND_S { 0.2 }
sub STOP_POLL_S { 0.02 }

open(my $agent, "+<&=", 3) or exit NO_RESOURCES;
my $outer = $$;

# Before each fork: the command may fork away at once.
syscall($prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
my $inner = begin();
guard($inner) if $inner != 0;
syscall($prctl, PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
syscall($prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
my $leader = begin();
run(@command) if $leader == 0;
supervise();

# Forks. Without a process to fork it tells the agent why, and ends.
sub begin {
  my $pid = fork;
  return $pid if defined $pid;
  report("failed $!");
  exit NO_RESOURCES;
}

# A command, in a session of its own. The variables that would disturb this program get their names back.
sub run {
  my @words = @_;
  $SIG{PIPE} = 'DEFAULT';
  syscall($setsid);
  syscall($prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  for my $name (grep { /^POSTERN_KEPT_/ } keys %ENV) {
    my $value = delete $ENV{$name};
    $ENV{substr $name, length "POSTERN_KEPT_"} = $value;
  }
  exec { $words[0] } @words;
  exit 127;
}

# The outer process.
sub guard {
  my ($inner) = @_;
  leave_output();
  close $agent;
  my $ended;
  do { $ended = waitpid(-1, 0) } until $ended == $inner || $ended == -1;
  end_all();
  exit 0;
}

# The inner process.
sub supervise {
  leave_output();
  my $over = getppid() != $outer;
  $SIG{TERM} = sub { $over = 1 };
  $SIG{CHLD} = sub { };
  $SIG{PIPE} = 'IGNORE';
  report("started $leader");
  my ($read, $from) = ('', '');
  vec($read, fileno $agent, 1) = 1;
  until ($over) {
    reap();
    my $ready = $read;
    next unless select($ready, undef, undef, LONGEST_WAIT_S) > 0;
    if (!sysread($agent, $from, 4096, length $from)) {
      stop();
      last;
    }
    while ($from =~ s/^(\w+) ?(\d*)\n//) {
      # The group's number is its own as long as its first process is not waited for.
      if ($1 eq 'signal') { kill $2, -$leader if defined $leader }
      else { $over = 1 }
    }
  }
  end_all();
  exit 0;
}

# The agent is gone.
sub stop {
  return unless @stop;
  my $pid = fork;
  return unless defined $pid;
  run(@stop) if $pid == 0;
  for (my $left = $limit; $left > 0; $left -= STOP_POLL_S) {
    my $ended = waitpid($pid, WNOHANG);
    return if $ended != 0;
    select(undef, undef, undef, STOP_POLL_S);
  }
}

# Holds none of the descriptors that the command got: a reader sees when the command has closed them.
sub leave_output {
  open(STDOUT, ">", "/dev/null");
  open(STDERR, ">", "/dev/null");
  if (open(my $channel, "<&=", 4)) { close $channel }
}

sub reap {
  while ((my $pid = waitpid(-1, WNOHANG)) > 0) { ended($pid) }
}

sub ended {
  my ($pid) = @_;
  return unless defined $leader && $pid == $leader;
  undef $leader;
  report("exited " . ($? >> 8) . " " . ($? & 127));
}

# Each killed process leaves its children to this one, so that no child means: nothing is left.
sub end_all {
  kill SIGKILL, -$leader if defined $leader;
  for (my $pause = FIRST_ROUND_S; ; $pause = $pause * 1.5 > LAST_ROUND_S ? LAST_ROUND_S : $pause * 1.5) {
    my $own = getpgrp;
    for my $process (children()) {
      # A group is killed at once, so that no member forks meanwhile.
      kill SIGKILL, -$$process{group} if $$process{group} != $own;
      kill SIGKILL, $$process{pid};
    }
    my $pid;
    while (($pid = waitpid(-1, WNOHANG)) > 0) { ended($pid) }
    return if $pid == -1;
    select(undef, undef, undef, $pause);
  }
}

# By /proc/PID/stat (proc_pid_stat(5)): the process's name is in brackets and may hold blanks and brackets itself.
sub children {
  opendir(my $proc, "/proc") or return;
  my @found;
  for my $pid (grep { /^\d+$/ } readdir $proc) {
    open(my $file, "<", "/proc/$pid/stat") or next;
    my $line = <$file>;
    next unless defined $line && $line =~ /.*\) \S (\d+) (\d+) /s && $1 == $$;
    push @found, { pid => $pid, group => $2 };
  }
  return @found;
}

sub report {
  my ($line) = @_;
  syswrite $agent, "$line\n";
}
