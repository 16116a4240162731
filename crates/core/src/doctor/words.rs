//! What may be found, and how it is said. The app says it in other languages, by the code.

use serde::{Deserialize, Serialize};

use super::Verdict;

macro_rules! codes {
    ($($name:ident $verdict:ident $text:literal $advice:literal)*) => {
        /// What was found. Names stay the same over versions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[allow(missing_docs, reason = "their texts say what they mean")]
        pub enum Code {
            $($name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is thought of it.
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)* }
            }

            /// What was found, in one or two sentences.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What to try; empty if there is nothing.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    TookTooLong Look
        "The check did not end in time."
        "Try again in a moment; if it stays so, the machine or its network is very busy."

    DhtWell Ok
        "The network is reached: enough nodes answer."
        ""
    DhtFew Look
        "Only a few nodes of the network answer."
        "Wait a few minutes. If it stays so, add hosts to begin with, or look whether a firewall holds back UDP."
    DhtNone Broken
        "No node of the network answers, so nobody can be found."
        "Look whether this machine is online, and whether a firewall holds back UDP. The hosts to begin with are in the network settings."
    DhtEnded Broken
        "The part of the node that talks to the network has ended."
        "Start the node again; its log says why."
    BootstrapAnswers Ok
        "The hosts to begin with answer."
        ""
    BootstrapSome Look
        "Some of the hosts to begin with do not answer."
        "One that answers is enough. Remove those that are gone for good."
    BootstrapSilent Look
        "None of the hosts to begin with answers."
        "Nodes known from before may do for now. Look at the list in the network settings, and whether UDP gets out of this network."
    BootstrapNone Look
        "No hosts to begin with are set."
        "Without one, only nodes known from before are asked. Add a host in the network settings."

    NatDirect Ok
        "Others see this machine under an address of its own: nothing in between translates addresses."
        ""
    NatTranslated Ok
        "Others see another address than this machine has: a router translates. That is usual, and connections go through all the same, except where both sides' routers are strict."
        ""
    NatChanging Look
        "Others see this machine under several addresses."
        "The router changes addresses, or there are several ways out (a VPN, two providers). If connections fail, use one way out only."
    NatUnknown Look
        "Nobody has said yet under which address this machine is seen."
        "Test again when the network is reached."
    NatOffline Broken
        "This machine has no address but its own loopback: it is in no network."
        "Connect it to a network."
    NatLoopback Look
        "The node was started for this machine alone (--loopback): nobody elsewhere can reach it."
        "Start it without --loopback."

    PortsAnswer Ok
        "The UDP port is bound, and a question sent to it comes back answered."
        ""
    PortsSilent Broken
        "The UDP port is bound, but a question sent to it from this machine stays unanswered."
        "A firewall on this machine may drop the packets: allow UDP on this port."
    PortsUnbound Broken
        "No UDP port is bound."
        "Start the node again; its log says why."

    TurnNone Nothing
        "No TURN relay is set up: this version connects directly only."
        ""
    ProxyNone Nothing
        "No DHT proxy is set up: this node takes part in the network itself."
        ""

    NamesNone Nothing
        "No account has chosen a name server, so none is asked."
        ""
    NamesAnswer Ok
        "The name server answers as one, over a connection that nobody can read or change."
        ""
    NamesLocal Ok
        "The name server on this machine answers as one."
        ""
    NamesPlain Look
        "The name server answers, but without TLS: what it says can be read and changed on the way."
        "Use its https address, if it has one; or accept signed names only."
    NamesSlow Look
        "The name server answers, but slowly."
        "Try again later, or choose another one."
    NamesBusy Look
        "The name server wants no more questions now."
        "Try again later."
    NamesUnreachable Broken
        "The name server cannot be reached."
        "Look at its address in the settings, and whether this machine is online."
    NamesUntrusted Broken
        "The name server has no certificate that this machine trusts."
        "Look at its address, and at this machine's clock. Whoever runs the server may have let its certificate expire."
    NamesStrange Broken
        "Something answers at the address, but not as a name server does."
        "Look at its address in the settings."

    ClockRight Ok
        "The clock agrees with that of the name server."
        ""
    ClockOff Look
        "The clock differs from that of the name server."
        "Let this machine set its clock from the network (NTP)."
    ClockWrong Broken
        "The clock is wrong: it differs by minutes from that of the name server."
        "Let this machine set its clock from the network (NTP). Until then, messages carry wrong times, and others may refuse them."
    ClockUnknown Nothing
        "There is nobody to compare the clock with: no name server is chosen, and no messages came lately."
        ""
    ClockPeers Ok
        "Nothing that others wrote lately comes from the future of this clock."
        ""
    ClockPeersAhead Look
        "Messages of others are dated later than they arrived: this clock is slow, or theirs are fast."
        "Let this machine set its clock from the network (NTP)."
    ClockBack Broken
        "The clock was set back: what the node wrote before lies in its future."
        "Look whether date and time are right."

    DiskWell Ok
        "There is room, and files can be written."
        ""
    DiskLow Look
        "There is little room left on the disk."
        "Make room, or move the data directory."
    DiskFull Broken
        "The disk is full: nothing more can be stored."
        "Make room, or move the data directory."
    DiskUnwritable Broken
        "The data directory cannot be written."
        "Look whether the disk is mounted for reading only, full, or belongs to somebody else."
    DiskSlow Look
        "The disk takes long to keep what is written."
        "Each message waits for this. Something else may be keeping the disk busy, or it is failing."
    DatabaseWhole Ok
        "The database is whole."
        ""
    DatabaseDamaged Broken
        "The database is damaged."
        "Stop the node and restore a backup. Keep the damaged directory: conversations can be fetched from others again."
    DatabaseUnfinished Look
        "The database is too large to be looked through in the time given; what was seen of it is whole."
        "Test again when the machine has less to do; or look at a backup: baraza backup verify."

    BackupFresh Ok
        "Every account has a backup."
        ""
    BackupNever Look
        "An account is in no backup: it is lost with this machine."
        "Make a backup, or link a second device."
    BackupOld Look
        "The last backup is more than a month old."
        "Make a new one, or have the node make them by itself: baraza backup schedule."
    BackupLate Look
        "The next scheduled backup is overdue."
        "Look whether the node ran at that time, and at its log."
    BackupFailed Broken
        "The last scheduled backup failed."
        "Look whether its directory is there and has room, and whether the password file is."
    BackupNone Nothing
        "There are no accounts yet, so there is nothing to back up."
        ""

    VersionsKnown Ok
        "These are the programs that run."
        ""
}
