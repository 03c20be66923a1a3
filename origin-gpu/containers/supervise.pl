# Runs a container's command so that nothing of it outlives its end, whatever its processes do.
#
#   perl supervise.pl PRCTL SETSID DUP3
#
# These are numbers of system calls here. The agent starts this program as a process of its own group, with descriptor 3 to
# the agent, and perhaps some time before there is a command. It begins with a task: a line with the number of its bytes, and
# fields, each of which a NUL ends:
#
#   DIRECTORY PIPES CHANNEL LIMIT STOPS WORDS [STOP…] WORD… [NAME=VALUE…]
#
# PIPES is 2 where another agent may take the command over with its output, 4 where it has a channel too, and 0 where that
# can't be. CHANNEL is 1 where the command has one. The command has WORDS words, and these variables alone. STOP are the
# STOPS words of a command that ends what is no process of the container, within LIMIT seconds. The agent runs it at a stop,
# and this program where the agent is gone. From then on each line is a word:
#
#   from the agent   opened             the agent reads the pipes by /proc; `refused`: the command gets what it has else
#                    signal N           to each process of the command's group, while the command itself runs
#                    kill               ends everything that is left; so does the end of the agent, after STOP
#                    linger N KEY       the end of the agent ends nothing, unless no other one adopts within N seconds
#   to the agent     pipes PID OUT ERR [TO FROM]   this program's descriptors, before the command starts
#                    lingers PID COMMANDS REPORTS  those by which the next agent speaks to this program
#                    started PID, failed REASON, exited CODE SIGNAL
#   next agent       reads `left KEY`, and writes `adopt`, `signal N` or `kill`, which ends everything after STOP; after
#                    `adopt` it is the agent
#
# The program ends when nothing of the command runs any more, and with code 0 where it has seen that. Two processes
# make it certain. The inner one is the command's parent, and a subreaper: a process that loses its parent becomes the inner
# one's child, also after a double fork, in a session of its own, with another environment and name. The outer one is
# a subreaper too, and takes over when somebody kills the inner one. Both leave the command's group alone, so that
# its signals to itself do not reach them. supervise.py does the same where there is no perl.
use strict;

my ($prctl, $setsid, $dup3) = @ARGV;

# Linux's include/uapi/linux/prctl.h.
sub PR_SET_PDEATHSIG { 1 }
sub PR_SET_CHILD_SUBREAPER { 36 }
# WNOHANG of waitpid(2), and signals by their numbers, since modules would double the time of a start.
sub WNOHANG { 1 }
sub SIGKILL { 9 }
sub SIGTERM { 15 }
# The exit code of what could not be started for want of resources: EX_OSERR of sysexits.h.
sub NO_RESOURCES { 71 }
# That of a shell for what is not there.
sub NOT_FOUND { 127 }
# A child's end interrupts the wait for the agent, except in the moment before the wait begins.
sub LONGEST_WAIT_S { 0.5 }
# fcntl(2): what a container prints while no agent reads waits in its pipe.
sub F_SETPIPE_SZ { 1031 }
sub LARGE_PIPE { 1 << 20 }
# The command's descriptors of its channel: one to read from, one to write to.
sub CHANNEL () { 4 }
# Between two rounds of killing. A killed process is gone within the first, unless a driver holds it.
sub FIRST_ROUND_S { 0.002 }
sub LAST_ROUND_S { 0.2 }
sub STOP_POLL_S { 0.02 }

open(my $agent, "+<&=", 3) or exit NO_RESOURCES;
my ($directory, $pipes, $has_channel, $limit, $stops, $words, @rest) = read_task();
my @stop = splice @rest, 0, $stops;
my @command = splice @rest, 0, $words;
# Those that would disturb this program, such as LD_PRELOAD, come too late for it.
%ENV = map { split /=/, $_, 2 } @rest;
unless (chdir $directory) {
  print STDERR "postern: can't be started in $directory: $!\n";
  exit NOT_FOUND;
}
# Where this program writes to the agent: the same, until another agent adopts.
my $reports = $agent;
# The next agent's ends of these, and what keeps them open until it is there.
my ($next_agent, $next_reports, @held, $linger_s);
my $outer = $$;
my ($out, $err, $to, $from) = make_pipes();

# Before each fork: the command may fork away at once.
syscall($prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
my $inner = begin();
guard($inner) if $inner != 0;
syscall($prctl, PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
syscall($prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
my $leader = begin();
if ($leader == 0) {
  use_pipes();
  run(@command);
}
supervise();

# The agent may end before it has a task for this program.
sub read_task {
  my ($size, $task) = ("", "");
  until ($size =~ /\n/) { sysread($agent, $size, 1, length $size) or exit 0 }
  while (length $task < $size) { sysread($agent, $task, $size - length $task, length $task) or exit 0 }
  my @fields = split /\0/, $task, -1;
  pop @fields;
  return @fields;
}

# Pairs of a reading and a writing end; none where the agent can't open them.
sub make_pipes {
  my @made;
  for (1 .. $pipes) {
    pipe(my $reading, my $writing) or return;
    push @made, [$reading, $writing];
  }
  return unless @made;
  my @own = own_ends(@made);
  report("pipes $$ " . join " ", map { fileno $_ } @own);
  my $answer = "";
  until ($answer =~ /\n/) { sysread($agent, $answer, 1, length $answer) or exit NO_RESOURCES }
  return $answer eq "opened\n" ? @made : ();
}

# What this program keeps of them: the command sees no end of its pipes while no agent is there.
sub own_ends {
  my ($out, $err, $to, $from) = @_;
  return ($$out[0], $$err[0], defined $to ? ($$to[1], $$from[0]) : ());
}

# In the command's process.
sub use_pipes {
  leave_channel() unless $has_channel;
  return unless defined $out;
  open(STDOUT, ">&", $$out[1]);
  open(STDERR, ">&", $$err[1]);
  return unless defined $to;
  syscall($dup3, fileno $$to[0], CHANNEL, 0);
  syscall($dup3, fileno $$from[1], CHANNEL + 1, 0);
}

# Forks. Without a process to fork it tells the agent why, and ends.
sub begin {
  my $pid = fork;
  return $pid if defined $pid;
  report("failed $!");
  exit NO_RESOURCES;
}

# A command, in a session of its own.
sub run {
  my @words = @_;
  $SIG{PIPE} = 'DEFAULT';
  syscall($setsid);
  syscall($prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  exec { $words[0] } @words;
  exit NOT_FOUND;
}

# The outer process.
sub guard {
  my ($inner) = @_;
  leave_output();
  close $agent;
  close $_ for map { @$_ } grep { defined } $out, $err, $to, $from;
  my $ended;
  do { $ended = waitpid(-1, 0) } until $ended == $inner || $ended == -1;
  end_all();
  exit 0;
}

# The inner process.
sub supervise {
  leave_output();
  close $_ for map { $$_[1] } grep { defined } $out, $err, $from;
  close $$to[0] if defined $to;
  my $over = getppid() != $outer;
  $SIG{TERM} = sub { $over = 1 };
  $SIG{CHLD} = sub { };
  $SIG{PIPE} = 'IGNORE';
  report("started $leader");
  my $said = '';
  my $deadline;
  until ($over) {
    reap();
    # Nobody else would see the end of the command, or end it.
    if (defined $deadline && (!defined $leader || time > $deadline)) {
      stop();
      last;
    }
    my $ready = '';
    vec($ready, fileno $agent, 1) = 1;
    next unless select($ready, undef, undef, LONGEST_WAIT_S) > 0;
    if (!sysread($agent, $said, 4096, length $said)) {
      if (!defined $next_agent) {
        stop();
        last;
      }
      ($agent, $reports, $next_agent, $said) = ($next_agent, $next_reports, undef, '');
      $deadline = time + $linger_s;
    }
    while ($said =~ s/^(\w+) ?(\S*) ?(\S*)\n//) {
      # The group's number is its own as long as its first process is not waited for.
      if ($1 eq 'signal') { kill $2, -$leader if defined $leader }
      elsif ($1 eq 'linger') { linger($2, $3) }
      elsif ($1 eq 'adopt') {
        # From here on the end of this agent is seen.
        @held = ();
        undef $deadline;
        report("started $leader");
      }
      else {
        stop() if defined $deadline;
        $over = 1;
      }
    }
  }
  end_all();
  exit 0;
}

# The next agent opens these by /proc. Until then the ends that are held here keep them open.
sub linger {
  my ($seconds, $key) = @_;
  pipe(my $commands, my $held) or return report("failed $!");
  pipe(my $left, my $to_next) or return report("failed $!");
  fcntl($$_[0], F_SETPIPE_SZ, LARGE_PIPE) for grep { defined } $out, $err;
  syswrite $to_next, "left $key\n";
  ($next_agent, $next_reports, @held) = ($commands, $to_next, $held, $left);
  $linger_s = $seconds;
  report("lingers $$ " . fileno($commands) . " " . fileno($left));
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
  leave_channel();
}

sub leave_channel {
  if (open(my $channel, "<&=", CHANNEL)) { close $channel }
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
  syswrite $reports, "$line\n";
}
