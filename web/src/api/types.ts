import type { components } from './schema';

type Schemas = components['schemas'];
export type Account = Schemas['Account'];
export type AutoAccept = Schemas['AutoAccept'];
export type Backups = Schemas['Backups'];
export type BackupProgress = Schemas['BackupProgress'];
export type CheckResult = Schemas['CheckResult'];
export type Contact = Schemas['Contact'];
export type ContactRequest = Schemas['ContactRequest'];
export type Conversation = Schemas['Conversation'];
export type DeliveryReport = Schemas['DeliveryReport'];
export type Device = Schemas['Device'];
export type Diagnostics = Schemas['Diagnostics'];
export type Doctor = Schemas['Doctor'];
export type Entry = Schemas['Entry'];
export type EntryPage = Schemas['EntryPage'];
export type FileView = Schemas['FileView'];
export type Found = Schemas['Found'];
export type GroupProfile = Schemas['GroupProfile'];
export type JamiProgress = Schemas['JamiProgress'];
export type LinkStatus = Schemas['LinkStatus'];
export type Measured = Schemas['Measured'];
export type Member = Schemas['Member'];
export type NameServer = Schemas['NameServer'];
export type NearbyPerson = Schemas['NearbyPerson'];
export type NearbyView = Schemas['NearbyView'];
export type NetworkView = Schemas['NetworkView'];
export type PeerDevices = Schemas['PeerDevices'];
export type Profile = Schemas['ProfileView'];
export type Progress = Schemas['Progress'];
export type RegisteredName = Schemas['RegisteredName'];
export type RestoreProgress = Schemas['RestoreProgress'];
export type SearchPage = Schemas['SearchPage'];
export type Session = Schemas['Session'];
export type Settings = Schemas['Settings'];
export type Status = Schemas['Status'];

/** An event of the node: its type, whose it is, and what belongs to the type. */
export interface NodeEvent {
  cursor: number;
  event: string;
  account?: string;
  conversation?: string;
  [key: string]: unknown;
}
