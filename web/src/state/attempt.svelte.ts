import { problemText } from '../api/client';

/** Something that a person asks for in a form: whether it is under way, and what went wrong last. */
export class Attempt {
  busy = $state(false);
  error = $state('');

  readonly run = async (what: () => Promise<unknown>): Promise<void> => {
    this.busy = true;
    this.error = '';
    try {
      await what();
    } catch (problem) {
      this.error = problemText(problem);
    } finally {
      this.busy = false;
    }
  };
}
