export const application = 1;
